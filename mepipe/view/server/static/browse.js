// All samples of a dataset: filters beside a grid of thumbnails.
import { grouped, h } from "./dom.js";
import { facets } from "./facets.js";
import * as filter from "./filter.js";
import { Grid } from "./grid.js";
import * as keys from "./keys.js";
import * as route from "./route.js";
import { blank, thumb } from "./thumb.js";

const WIDTH = 124;
const HEIGHT = 164;
const seen = new Map(); // where in the grid one was, by address

export function browse(main, of, query) {
  const { data } = of;
  const count = h("p", { class: "count", role: "status" });
  const note = h("div", { class: "notes" });
  const grid = new Grid(0, () => null, WIDTH, HEIGHT, `Samples of ${data.name}`);
  const side = h("aside", { class: "facets", "aria-label": "Filters" });
  let found = [];
  let now = query;

  function show(asked) {
    now = asked;
    found = filter.rows(of, now);
    count.textContent = found.length === data.id.length
      ? `${grouped(found.length)} samples` : `${grouped(found.length)} of ${grouped(data.id.length)} samples`;
    grid.reset(found.length, (position, later) => tile(of, found[position], now, later));
    note.replaceChildren(...(found.length ? [] : [h("p", { class: "notice" }, "No sample is like this. Take a filter off.")]));
    facets(side, of, now, change);
  }

  // typed: while something is written, no steps to go back to.
  function change(asked, typed = false) {
    const hash = route.to("samples", [data.name], asked);
    if (typed) route.note(hash);
    else route.push(hash);
    show(asked);
  }

  main.replaceChildren(h("div", { class: "browse" }, side, h("section", { class: "found" }, count, problems(data), note, grid.element)));
  show(query);
  const back = seen.get(route.to("samples", [data.name], query));
  if (back !== undefined) {
    grid.at = Math.min(back.at, found.length - 1);
    grid.element.scrollTop = back.top;
    grid.draw(0);
    grid.shown.get(grid.at)?.focus({ preventScroll: true });
  }
  use(grid, side);
  return {
    again: (asked) => show(asked),
    end: () => grid.end(),
    leave: () => seen.set(route.to("samples", [data.name], now), { at: grid.at, top: grid.element.scrollTop }),
  };
}

function use(grid, side) {
  const by = (step) => () => grid.focus(document.activeElement.closest(".tile") ? grid.at + step() : grid.at);
  keys.use([
    ["ArrowLeft", "sample before", by(() => -1)],
    ["ArrowRight", "next sample", by(() => 1)],
    ["ArrowUp", "row above", by(() => -grid.columns)],
    ["ArrowDown", "row below", by(() => grid.columns)],
    ["PageUp", "page up", by(() => -grid.page)],
    ["PageDown", "page down", by(() => grid.page)],
    ["Home", "first sample", () => grid.focus(0)],
    ["End", "last sample", () => grid.focus(grid.count - 1)],
    ["Enter", "open the sample", () => grid.shown.get(grid.at)?.click()],
    ["/", "search", () => side.querySelector("input[type=search]").focus()],
    ["Escape", "take all filters off", () => side.querySelector(".clear")?.click()],
  ]);
}

function tile(of, row, query, later) {
  const { data } = of;
  const text = (name) => data.columns[name].values[of.code(name, row)];
  const id = data.id[row];
  const marks = [
    of.state.failed.has(row) && h("span", { class: "mark failed" }, "failed"),
    of.flagged.has(row) && h("span", { class: "mark flagged" }, "suspicious"),
  ];
  const [image, load] = of.blank(row) ? [blank(of.why(row)), null] : thumb(data.name, id);
  const link = h("a", { class: "tile", role: "listitem", href: route.to("sample", [data.name, id], query), title: [id, text("emotion"), text("aus")].filter(Boolean).join(" · ") },
    image, marks, h("b", {}, id), h("span", { class: "muted" }, [text("emotion"), text("aus")].filter(Boolean).join(" · ")));
  if (later) setTimeout(() => link.isConnected && load?.(), later);
  else load?.();
  return link;
}

function problems(data) {
  const wrong = data.features.filter((feature) => feature.problem);
  return wrong.map((feature) => h("p", { class: "notice bad" }, `${feature.label}: ${feature.problem}`));
}
