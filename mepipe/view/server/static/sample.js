// One sample: its panels in step, the curve, a comparison of two panels. What is shown is in the address.
import { h, renew, toggle } from "./dom.js";
import { chosen, comparable, first, range, scales } from "./choice.js";
import { Clock, SPEEDS } from "./clock.js";
import { Curve } from "./curve.js";
import { heading, lineage } from "./facts.js";
import * as filter from "./filter.js";
import * as keys from "./keys.js";
import { json } from "./net.js";
import * as route from "./route.js";
import { Stage } from "./stage.js";

let playing = false; // goes on with the next sample

export function sample(main, of, data, query) {
  const page = new Sample(of, data, query);
  main.replaceChildren(page.element);
  page.begin();
  return page;
}

class Sample {
  constructor(of, data, query) {
    Object.assign(this, { of, data, query, dataset: of.data.name, limits: range(data) });
    this.list = filter.rows(of, query).map((row) => of.data.id[row]);
    this.at = this.list.indexOf(data.id);
    const about = { dataset: this.dataset, id: data.id, onset: data.marks.onset, fps: data.fps, landmarks: data.landmarks };
    this.stage = new Stage(about, data, (changes) => this.change(changes));
    const curves = data.panels.filter((info) => info.motion?.length && info.positions.length);
    this.curve = new Curve(data, curves, this.limits, of.data.marks, (frame) => this.seek(frame), () => this.keep());
    this.clock = new Clock(...this.limits, data.fps, (frame, plays) => this.draw(frame, plays));
    this.play = h("button", { class: "play", title: "Space", onclick: () => this.toggle() }, "Play");
    this.head = h("div");
    this.controls = h("div", { class: "controls", role: "toolbar", "aria-label": "Playing" });
    this.lineage = lineage(of, of.data.snapshot);
    this.element = h("div", { class: "sample" }, this.head, this.stage.element, this.controls, this.curve.element, this.lineage);
  }

  begin() {
    this.clock.frame = Number(this.query.get("frame") ?? first(this.data));
    this.show();
    if (playing) this.clock.play();
    keys.use(this.keys());
    this.ahead(this.list[this.at + 1]);
  }

  // Another address of the same sample.
  again(query) {
    this.query = query;
    this.show();
    if (query.has("frame")) this.clock.seek(Number(query.get("frame")));
  }

  end() {
    this.clock.playing = false;
    this.curve.end();
  }

  draw(frame, plays) {
    this.stage.draw(frame, this.query.get("points") === "1");
    this.curve.set(frame);
    this.play.textContent = plays ? "Pause" : "Play";
    this.play.setAttribute("aria-pressed", String(plays));
    playing = plays;
  }

  show() {
    const { data, query } = this;
    const panels = chosen(data, query);
    const pair = comparable(data, query);
    this.scales = scales(data, panels, pair, query);
    this.stage.show(panels, pair, Number(query.get("wipe") ?? 0.5), this.scales);
    this.clock.slow = Number(query.get("speed") ?? 1) || 1;
    this.clock.stops = [...new Set(panels.flatMap((info) => info.positions ?? []).concat(this.limits))].sort((a, b) => a - b);
    renew(this.controls, this.buttons(panels.map((info) => info.panel)));
    this.links();
    this.clock.seek(this.clock.frame);
  }

  // The way to other samples, which are looked at in the same way.
  links() {
    renew(this.head, [heading(this.data, this.dataset, this.elsewhere(), this.list, this.at)]);
  }

  elsewhere() {
    return route.changed(this.query, { frame: null });
  }

  change(changes) {
    this.query = route.changed(this.query, changes);
    this.note();
    this.show();
  }

  note() {
    route.note(route.to("sample", [this.dataset, this.data.id], this.query));
  }

  // Where the playhead stands, once it stands.
  keep() {
    if (!this.clock.playing) this.query = route.changed(this.query, { frame: Math.round(this.clock.frame * 10) / 10 });
    this.note();
  }

  toggle() {
    this.clock.toggle();
    this.keep();
  }

  seek(frame) {
    this.clock.pause();
    this.clock.seek(frame);
  }

  step(by) {
    this.clock.step(by);
    this.keep();
  }

  mark(name) {
    if (this.data.marks[name] < 0) return;
    this.seek(this.data.marks[name]);
    this.keep();
  }

  speed(slow) {
    this.change({ speed: slow === 1 ? null : slow });
  }

  points() {
    this.change({ points: this.query.has("points") ? null : 1 });
  }

  compare() {
    this.change({ compare: this.query.has("compare") ? null : comparable(this.data, this.query, true)?.join(","), wipe: null });
  }

  hold() {
    this.change({ hold: this.query.has("hold") ? null : Object.entries(this.scales).map((one) => one.join(":")).join(",") });
  }

  panel(name, on) {
    const shown = this.data.panels.map((info) => info.panel).filter((one) => on.includes(one) !== (one === name));
    this.change({ panels: shown.join(",") || "none" });
  }

  other(by) {
    const id = this.at < 0 ? undefined : this.list[this.at + by];
    if (id !== undefined) route.go(route.to("sample", [this.dataset, id], this.elsewhere()));
  }

  buttons(on) {
    const { data, query } = this;
    const slow = Number(query.get("speed") ?? 1);
    const group = (name, ...more) => h("span", { class: "group", role: "group", "aria-label": name }, more);
    const onset = data.landmarks?.points.length === 1 ? "l: of the onset frame" : "l";
    return [
      this.play,
      h("button", { title: "Step back (←)", "aria-label": "Step back", onclick: () => this.step(-1) }, "◂"),
      h("button", { title: "Step on (→)", "aria-label": "Step on", onclick: () => this.step(1) }, "▸"),
      group("Speed", SPEEDS.map((one, i) =>
        toggle(one === 1 ? "real speed" : `1/${one}`, one === slow, () => this.speed(one), { title: String(i + 1) }))),
      toggle("compare", query.has("compare"), () => this.compare(), { title: "c" }),
      data.landmarks && toggle("landmarks", query.has("points"), () => this.points(), { title: onset }),
      toggle("hold scales", query.has("hold"), () => this.hold(), { title: "s: other samples are shown on these scales too" }),
      h("span", { class: "choose", role: "group", "aria-label": "Panels" }, h("span", {}, "panels"),
        data.panels.map((info) => toggle(info.name, on.includes(info.panel), () => this.panel(info.panel, on)))),
    ];
  }

  keys() {
    return [
      [" ", "play, pause", () => this.toggle()],
      ["ArrowLeft", "step back", () => this.step(-1)],
      ["ArrowRight", "step on", () => this.step(1)],
      ["o", "onset", () => this.mark("onset")],
      ["a", "apex", () => this.mark("apex")],
      ["f", "offset", () => this.mark("offset")],
      ...SPEEDS.map((slow, i) => [String(i + 1), slow === 1 ? "real speed" : `1/${slow} of real speed`, () => this.speed(slow)]),
      ["c", "compare two panels", () => this.compare()],
      ["[", "wipe to the left", () => this.stage.wipe?.move(-0.05)],
      ["]", "wipe to the right", () => this.stage.wipe?.move(0.05)],
      ["x", "swap the two", () => this.stage.wipe?.swap()],
      ["l", "landmarks", () => this.data.landmarks && this.points()],
      ["s", "hold the scales", () => this.hold()],
      ["i", "lineage", () => (this.lineage.open = !this.lineage.open)],
      [["n", "ArrowDown"], "next sample", () => this.other(1)],
      [["p", "ArrowUp"], "sample before", () => this.other(-1)],
      ["Escape", "all samples", () => route.go(route.to("samples", [this.dataset], route.filters(this.query)))],
    ];
  }

  // The next sample is likely to be next: what it takes is fetched while this one is looked at.
  ahead(id) {
    if (id === undefined) return;
    requestIdleCallback(async () => {
      const data = await json("api/sample", { dataset: this.dataset, id }).catch(() => null);
      if (data === null) return;
      const panels = chosen(data, this.query);
      Stage.fetch(this.dataset, data, panels, scales(data, panels, comparable(data, this.query), this.query));
    }, { timeout: 1500 });
  }
}
