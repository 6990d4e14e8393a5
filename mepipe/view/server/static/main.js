// Begins here: which page the address asks for.
import { browse } from "./browse.js";
import { h } from "./dom.js";
import { model } from "./filter.js";
import * as keys from "./keys.js";
import { json } from "./net.js";
import * as route from "./route.js";

const main = document.getElementById("main");
const models = new Map();
const about = JSON.parse(document.getElementById("about").textContent);
let shown = { key: "", page: null };
let turn = 0;

async function dataset(name) {
  if (!models.has(name)) {
    const data = await json("api/dataset", { dataset: name });
    if (data.problem) throw new Error(data.problem);
    models.set(name, model(data));
  }
  return models.get(name);
}

function nav(at) {
  const current = at.page === "runs" ? null : at.parts[0];
  const link = (text, hash, on) => h("a", { href: hash, "aria-current": on ? "page" : null }, text);
  document.getElementById("pages").replaceChildren(
    ...about.datasets.map((name) => link(name, route.to("samples", [name]), name === current)),
    link("runs", route.to("runs"), at.page === "runs"));
  document.title = [...at.parts].reverse().concat(at.page === "runs" ? "runs" : [], "mepipe").join(" · ");
}

async function show() {
  const at = route.read();
  const key = [at.page, ...at.parts].join("/");
  if (shown.page?.again && shown.key === key) return shown.page.again(at.query);
  const mine = ++turn;
  shown.page?.leave?.();
  shown.page?.end?.();
  shown = { key, page: null };
  nav(at);
  keys.use([]);
  try {
    const make = await page(at);
    if (mine === turn) shown.page = make(main);
  } catch (error) {
    if (mine === turn) main.replaceChildren(h("p", { class: "notice bad" }, error.message));
  }
}

// What draws the page, once all it needs is here.
async function page({ page: name, parts, query }) {
  if (name === "samples" && parts.length === 1) {
    const of = await dataset(parts[0]);
    return (place) => browse(place, of, query);
  }
  if (name === "sample" && parts.length === 2) {
    const of = await dataset(parts[0]);
    const data = await json("api/sample", { dataset: parts[0], id: parts[1] });
    const { sample } = await import("./sample.js"); // what the first page does not need comes when it is needed
    return (place) => sample(place, of, data, query);
  }
  if (name === "runs" && parts.length === 1) {
    const found = await json("api/run", { run: parts[0] });
    const { run } = await import("./runs.js");
    return (place) => run(place, found, query, about.datasets);
  }
  if (name === "runs") {
    const found = await json("api/runs");
    const { runs } = await import("./runs.js");
    return (place) => runs(place, found, about.runs);
  }
  if (about.datasets.length) history.replaceState(null, "", route.to("samples", [about.datasets[0]]));
  else throw new Error(`${about.store} holds no dataset. Make one: mepipe extract --dataset NAME`);
  nav(route.read());
  return page(route.read());
}

addEventListener("hashchange", show);
document.getElementById("help").addEventListener("click", keys.help);
document.getElementById("store").append(h("bdi", {}, about.store));
await show();
requestIdleCallback(() => import("./sample.js"));
