// Runs: what each was, what it scored under its own honest name, where it was wrong.
import { h, renew, toggle } from "./dom.js";
import * as keys from "./keys.js";
import { address } from "./net.js";
import * as route from "./route.js";
import { blank, thumb } from "./thumb.js";

const SCORES = ["UF1", "UAR", "ACC", "F1"];
const share = (value) => (value === undefined ? "–" : value.toFixed(3));
const when = (seconds) => new Date(seconds * 1000).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
const cells = (scores) => SCORES.map((name) => h("td", { class: "figure" }, share(scores?.[name])));

export function title({ config: c }) {
  return `${c.model} (${c.configuration}), ${c.datasets.join("+")}, ${c.protocol}, ${c.classes.length} classes, seed ${c.seed}`;
}

export function runs(main, found, folder) {
  const rows = found.map((run) => (run.problem
    ? h("tr", {}, h("th", { scope: "row" }, run.name), h("td", { colspan: 8, class: "bad" }, run.problem))
    : h("tr", {}, h("th", { scope: "row" }, h("a", { href: route.to("runs", [run.name]) }, run.name)), h("td", {}, when(run.began)),
      h("td", {}, title(run)), cells(run.metrics), h("td", {}, run.metrics ? run.metrics.reported : `${run.folds} folds done, not finished`),
      h("td", {}, run.metrics?.weights ?? ""))));
  const head = ["run", "began", "what", ...SCORES, "reported", "weights"];
  const right = (name) => (SCORES.includes(name) ? "figure" : null);
  main.replaceChildren(h("div", { class: "runs" }, h("h1", {}, "Runs"),
    found.length
      ? h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col", class: right(name) }, name)))), h("tbody", {}, rows)))
      : h("p", { class: "notice" }, `No runs in ${folder}. Begin one: mepipe train --help`)));
  keys.use([]);
  return {};
}

export function run(main, found, query, datasets) {
  if (found.problem) throw new Error(found.problem);
  const { metrics, config } = found;
  let now = query;
  const wrong = h("section", { class: "wrong", "aria-label": "Misclassified samples" });
  const matrix = h("section", { class: "matrix" });
  function choose(changes) {
    now = route.changed(now, changes);
    route.push(route.to("runs", [found.name], now));
    show();
  }
  function show() {
    if (metrics?.confusion) renew(matrix, [confusion(metrics, config.classes, now, choose)]);
    renew(wrong, misclassified(found, now, datasets, choose));
  }
  main.replaceChildren(h("div", { class: "runs" },
    h("h1", {}, h("a", { class: "step", href: route.to("runs"), "aria-label": "All runs", title: "All runs (Esc)" }, "☰"), found.name), h("p", {}, title(found), `, begun ${when(found.began)}`),
    metrics ? scores(found) : h("p", { class: "notice" }, `${found.folds} folds done, not finished: no scores yet.`),
    found.unread && h("p", { class: "notice bad" }, found.unread),
    h("div", { class: "beside" }, matrix, wrong),
    h("section", { class: "pictures", "aria-label": "Pictures" }, found.pictures.map((file) => h("figure", {},
      h("img", { src: address("picture", { run: found.name, picture: file }), alt: file.replace(".png", ""), loading: "lazy" }), h("figcaption", {}, file)))),
    h("details", {}, h("summary", {}, "Parameters"), h("dl", { class: "facts" }, Object.entries(config.parameters).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))))));
  show();
  keys.use([["Escape", "all runs", () => route.go(route.to("runs"))]]);
  return { again: (asked) => ((now = asked), show()) };
}

function scores({ metrics }) {
  const row = (name, values, note = "") => h("tr", { class: note && "oracle" }, h("th", { scope: "row" }, name, note && h("em", {}, note)), cells(values));
  const interval = h("tr", { class: "muted" }, h("th", { scope: "row" }, "95 % over subjects"), SCORES.map((name) => {
    const bounds = metrics.intervals?.[name];
    return h("td", { class: "figure" }, bounds ? `${share(bounds[0])}–${share(bounds[1])}` : "");
  }));
  return h("div", { class: "wide" }, h("table", { class: "scores" }, h("thead", {}, h("tr", {}, h("th", {}, `${metrics.samples} samples, ${metrics.folds} folds, ${metrics.weights}`), SCORES.map((name) => h("th", { scope: "col", class: "figure" }, name)))),
    h("tbody", {}, row(metrics.reported, metrics), interval,
      Object.entries(metrics.datasets ?? {}).map(([name, values]) => row(`of these, ${name}`, values)),
      metrics.oracle && row("oracle", metrics.oracle, metrics.oracle.note))));
}

// Counts; each cell shows its samples.
function confusion({ confusion: counts }, classes, query, choose) {
  const [rowOn, columnOn] = [query.get("true"), query.get("predicted")];
  const total = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const cell = (count, r, c) => {
    const part = count / (total[r] || 1);
    const on = rowOn === classes[r] && columnOn === classes[c];
    const button = h("button", { "aria-pressed": String(on), "aria-label": `true ${classes[r]}, predicted ${classes[c]}: ${count}`,
      onclick: () => choose(on ? { true: null, predicted: null } : { true: classes[r], predicted: classes[c] }) }, String(count));
    button.style.setProperty("--share", part);
    button.classList.toggle("much", part > 0.55);
    return h("td", {}, button);
  };
  return h("table", { class: "confusion" }, h("caption", {}, "True class (rows) and predicted; press a cell for its samples"),
    h("thead", {}, h("tr", {}, h("td", {}), classes.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, counts.map((row, r) => h("tr", {}, h("th", { scope: "row" }, `${classes[r]} (${total[r]})`), row.map((count, c) => cell(count, r, c))))));
}

function misclassified(found, query, datasets, choose) {
  const [wanted, guess] = [query.get("true"), query.get("predicted")];
  const cell = wanted !== null && guess !== null;
  const rows = found.predictions.filter(([, , , truth, predicted]) => (cell ? truth === wanted && predicted === guess : truth !== predicted));
  const head = cell ? `True ${wanted}, predicted ${guess}` : "Misclassified";
  return [h("h2", {}, `${head}: ${rows.length} of ${found.predictions.length}`, cell && toggle("show all misclassified", false, () => choose({ true: null, predicted: null }))),
    h("ul", { class: "tiles" }, rows.map((row) => h("li", {}, tile(row, datasets))))];
}

function tile([dataset, id, subject, truth, predicted, chance], datasets) {
  const known = datasets.includes(dataset);
  const [image, load] = known ? thumb(dataset, id) : [blank("not in this store"), null];
  load?.();
  const text = [image, h("b", {}, id), h("span", { class: "muted" }, `subject ${subject}`),
    h("span", {}, truth, " → ", predicted, chance === null ? "" : ` ${Math.round(chance * 100)} %`)];
  return known ? h("a", { class: "tile", href: route.to("sample", [dataset, id]) }, text) : h("span", { class: "tile" }, text);
}
