// The filters: each is a toggle, and each is in the address.
import { grouped, h, toggle } from "./dom.js";
import * as filter from "./filter.js";
import { changed } from "./route.js";

export function facets(side, of, query, change) {
  if (!side.hasChildNodes()) build(side, of, change);
  side.update(query);
}

function build(side, of, change) {
  const { data } = of;
  let now;
  const parts = [];
  const flip = (name, value) => {
    const on = now.getAll(name);
    change(changed(now, { [name]: on.includes(value) ? on.filter((one) => one !== value) : [...on, value] }));
  };
  const chips = (name, pairs, titles = {}) =>
    h("div", { class: "chips" }, pairs.map(([value, count, text]) => {
      const chip = toggle([text ?? value, h("small", {}, grouped(count))], false, () => flip(name, value), { title: titles[value] });
      parts.push(() => chip.setAttribute("aria-pressed", String(now.getAll(name).includes(value))));
      return chip;
    }));
  const search = h("input", { type: "search", placeholder: "id, subject, emotion, note", "aria-label": "Search", oninput: () => change(changed(now, { q: search.value }), true) });
  parts.push(() => search === document.activeElement || (search.value = now.get("q") ?? ""));
  const subject = select("Subject", "all subjects", filter.counts(of, "subject").sort((a, b) => (a[0] < b[0] ? -1 : 1)),
    (value) => change(changed(now, { subject: value })));
  parts.push(() => (subject.value = now.get("subject") ?? ""));
  const clear = h("button", { class: "clear", onclick: () => change(new URLSearchParams()) }, "Take all filters off");
  parts.push(() => (clear.disabled = now.toString() === ""));
  const open = matchMedia("(min-width: 760px)").matches;
  side.append(h("details", { open },
    h("summary", {}, "Filters"), search,
    group("Emotion", chips("emotion", filter.counts(of, "emotion").map(([v, n]) => [v, n, v || "none"]))),
    group("Action units", chips("au", filter.unitCounts(of)), "several: samples that have all"),
    group("Subject", subject),
    group("State", chips("state", states(of))),
    group("Suspicious", suspicious(of, data, chips, parts, () => now, change)),
    clear));
  side.update = (query) => {
    now = query;
    parts.forEach((part) => part());
  };
}

const group = (title, content, hint) =>
  h("fieldset", {}, h("legend", {}, title, hint && h("small", {}, hint)), content);

function select(label, none, pairs, change) {
  const element = h("select", { "aria-label": label, onchange: () => change(element.value) },
    h("option", { value: "" }, none), pairs.map(([value, count]) => h("option", { value }, `${value || "unknown"} (${grouped(count)})`)));
  return element;
}

const states = (of) => [["failed", of.state.failed.size], ["incomplete", of.state.incomplete.size]];

function suspicious(of, data, chips, parts, now, change) {
  const { qc } = data;
  if (!qc.flags) return h("p", { class: "hint" }, qc.problem || "Not known yet. Run: ", h("code", {}, qc.command));
  const titles = Object.fromEntries(Object.entries(qc.thresholds ?? {}).map(([name, { limit, unit, why }]) => [name, `${why}; limit: ${limit} ${unit ?? ""}`]));
  const pairs = [["any", of.flagged.size], ...[...of.flags].map(([name, rows]) => [name, rows.size])];
  const sort = h("input", { type: "checkbox", onchange: () => change(changed(now(), { sort: sort.checked ? "suspicion" : null })) });
  parts.push(() => (sort.checked = now().get("sort") === "suspicion"));
  return [
    qc.old && h("p", { class: "hint" }, "Of an earlier state of the manifest. Run again: ", h("code", {}, `mepipe qc --dataset ${data.name}`)),
    chips("flag", pairs, titles), h("label", { class: "check" }, sort, "most suspicious first"),
  ];
}
