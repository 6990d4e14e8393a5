// What is written about a sample and its features: annotation, flags, lineage.
import { h, number } from "./dom.js";
import * as route from "./route.js";

export function heading(data, dataset, query, list, at) {
  const link = (text, title, to) => (to === undefined ? h("span", { class: "step off", "aria-hidden": true }, text)
    : h("a", { class: "step", title, "aria-label": title, href: to }, text));
  const other = (step) => (list[at + step] === undefined ? undefined : route.to("sample", [dataset, list[at + step]], query));
  const { about } = data;
  const facts = [["subject", about.subject], ["emotion", about.emotion], ["AU", about.aus], ["class", about.objective !== "-1" && about.objective],
    ["fps", data.fps ? number(data.fps) : "unknown, played at 25"], ["note", about.note]];
  return h("div", { class: "heading" },
    h("a", { class: "step", title: "All samples (Esc)", "aria-label": "All samples", href: route.to("samples", [dataset], route.filters(query)) }, "☰"),
    link("‹", "Sample before (p)", other(-1)), link("›", "Next sample (n)", other(1)),
    h("h1", {}, data.id), h("span", { class: "muted" }, at < 0 ? "" : `${at + 1} of ${list.length}`),
    h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    data.flags.length ? h("ul", { class: "flags", "aria-label": "Suspicious" }, data.flags.map((one) => flag(one, data, dataset, query))) : null);
}

function flag({ flag: name, value, limit, why, at_ms: at }, { id, fps, marks }, dataset, query) {
  const timed = Number.isFinite(at) && fps && marks.onset >= 0;
  const there = timed && route.to("sample", [dataset, id], route.changed(query, { frame: Math.round(marks.onset + (at / 1000) * fps) }));
  return h("li", { title: `${number(value)}, limit ${number(limit)}` }, h("b", {}, name), ` ${why} `, timed && h("a", { href: there }, `at ${Math.round(at)} ms`));
}

// The way of each feature from the release, as its own record has it.
export function lineage(of, snapshot) {
  const rows = of.data.features.filter((feature) => feature.lineage !== undefined).map((feature) => h("tr", {},
    h("th", { scope: "row" }, feature.label), h("td", {}, h("ol", { class: "chain" }, chain(feature.lineage).map(step))),
    h("td", {}, h("code", {}, (feature.key ?? "").slice(0, 8)), feature.snapshot === snapshot ? null : h("p", { class: "hint" }, `of an earlier snapshot, ${feature.snapshot}`)),
    h("td", {}, `${feature.shape.join(" × ")} ${feature.dtype}`, h("br"), h("span", { class: "muted" }, [feature.units, feature.recipe && `recipe ${feature.recipe}`].filter(Boolean).join(", ")))));
  return h("details", { class: "lineage" }, h("summary", {}, "Lineage"),
    h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ["feature", "computed by", "key", "array"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows))));
}

// From the release on.
function chain(lineage) {
  if (typeof lineage !== "object" || lineage === null) return [{ stage: String(lineage || "unknown"), params: {} }];
  return [...chain(lineage.upstream), lineage];
}

const step = ({ stage, version, params }) => h("li", {}, h("b", {}, stage), version === undefined ? "" : ` ${version}`,
  h("span", { class: "muted" }, Object.entries(params ?? {}).map(([name, value]) => ` ${name} ${Array.isArray(value) ? value.join(", ") : value}`).join(",")));
