// Two panels over each other, on one scale: a line that can be dragged, left of it one, right of it the other.
import { h } from "./dom.js";
import { Frames, legend, overlay, when } from "./panel.js";

const FINE = 2;

export class Wipe {
  // infos: all panels that can be compared. change({pair, at}): another pair, or the line elsewhere.
  constructor(about, infos, pair, at, change) {
    Object.assign(this, { about, infos, at, change });
    this.canvas = h("canvas", { "aria-label": "Comparison" });
    this.line = h("div", { class: "line", role: "slider", tabindex: 0, "aria-label": "Wipe", "aria-valuemin": 0, "aria-valuemax": 100 });
    this.body = h("div", { class: "picture wipe" }, this.canvas, this.line);
    this.legend = h("div", { class: "legend" });
    this.selects = [0, 1].map((side) => h("select", { "aria-label": side ? "Right" : "Left", onchange: () => this.choose() },
      infos.map((info) => h("option", { value: info.panel }, info.name))));
    this.captions = [0, 1].map(() => h("span", { class: "when" }));
    const swap = h("button", { title: "Swap (x)", onclick: () => this.swap() }, "⇄");
    this.element = h("figure", { class: "panel comparison" },
      h("figcaption", {}, this.selects[0], swap, this.selects[1]), this.body,
      h("div", { class: "captions" }, this.captions), this.legend);
    this.set(pair);
    this.drag();
    this.place(at);
  }

  set(pair) {
    this.pair = pair;
    this.selects.forEach((select, side) => (select.value = pair[side]));
    this.sides = pair.map((name) => new Frames(this.about.dataset, this.about.id, this.infos.find((info) => info.panel === name)));
    const [width, height] = this.sides[0].info.size;
    Object.assign(this.canvas, { width: width * FINE, height: height * FINE });
  }

  choose() {
    this.set(this.selects.map((select) => select.value));
    this.change({ pair: this.pair });
  }

  swap() {
    this.set([...this.pair].reverse());
    this.change({ pair: this.pair });
  }

  // scales: {kind: scale}, the same for both sides.
  async load(scales) {
    const shown = this.sides;
    const keyed = shown.find(({ info }) => info.kind !== "picture") ?? shown[0];
    legend(this.legend, this.about.dataset, keyed.info, scales[keyed.info.kind]);
    try {
      await Promise.all(shown.map((side) => side.load(scales[side.info.kind])));
      this.draw(this.frame, this.points);
    } catch (error) {
      this.legend.replaceChildren(h("p", { class: "absent" }, error.message));
    }
  }

  draw(frame, points) {
    Object.assign(this, { frame, points });
    if (frame === undefined || this.sides.some((side) => !side.bitmap)) return;
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const edge = this.at * width;
    this.sides.forEach((side, number) => {
      context.save();
      context.beginPath();
      context.rect(number ? edge : 0, 0, number ? width - edge : edge, height);
      context.clip();
      side.draw(context, frame);
      if (points && side.info.kind === "picture") overlay(context, this.about.landmarks, frame);
      context.restore();
      this.captions[number].textContent = when(this.about, side.info, side.place(frame));
    });
  }

  place(at) {
    this.at = Math.max(0, Math.min(1, at));
    this.line.style.left = `${this.at * 100}%`;
    this.line.setAttribute("aria-valuenow", Math.round(this.at * 100));
    this.draw(this.frame, this.points);
  }

  move(by) {
    this.place(this.at + by);
    this.change({ at: this.at });
  }

  drag() {
    const to = (event) => {
      const box = this.body.getBoundingClientRect();
      this.place((event.clientX - box.left) / box.width);
    };
    this.body.addEventListener("pointerdown", (event) => {
      this.body.setPointerCapture(event.pointerId);
      to(event);
    });
    this.body.addEventListener("pointermove", (event) => this.body.hasPointerCapture(event.pointerId) && to(event));
    this.line.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // elsewhere these keys step through frames
      this.move(by);
    });
    this.body.addEventListener("pointerup", () => this.change({ at: this.at }));
  }
}
