// Motion over time, with the annotated moments and a playhead that can be dragged.
import { h, number, svg } from "./dom.js";

const EDGE = { left: 46, right: 16, top: 20, bottom: 26 };
const HEIGHT = 168;
const LINES = [["#e8e8e8", ""], ["#56b4e9", "6 3"], ["#f0e442", "2 3"], ["#cc79a7", "8 3 2 3"]];

export class Curve {
  // data: of a sample. curves: panels that have motion. colours: of the marks. seek(frame), done(): while and after dragging.
  constructor(data, curves, range, colours, seek, done) {
    Object.assign(this, { data, curves, range, colours, seek });
    this.chart = svg("svg", { class: "chart", role: "presentation" });
    this.head = svg("g", { class: "playhead", role: "slider", tabindex: 0, "aria-label": "Frame", "aria-valuemin": range[0], "aria-valuemax": range[1] },
      svg("line", { y1: EDGE.top - 4, y2: HEIGHT - EDGE.bottom }), svg("path", { d: `M-6 ${EDGE.top - 14}h12v7l-6 5l-6 -5z` }));
    this.element = h("section", { class: "curve", "aria-label": "Motion over time" }, this.chart, this.about());
    this.watch = new ResizeObserver(() => this.lay());
    this.watch.observe(this.element);
    const to = (event) => seek(this.frame(event.clientX - this.chart.getBoundingClientRect().left));
    this.chart.addEventListener("pointerdown", (event) => {
      this.chart.setPointerCapture(event.pointerId);
      to(event);
    });
    this.chart.addEventListener("pointermove", (event) => this.chart.hasPointerCapture(event.pointerId) && to(event));
    this.chart.addEventListener("pointerup", done);
  }

  about() {
    const names = this.curves.map((info, at) => {
      const [colour, dashes] = LINES[at % LINES.length];
      return h("span", {}, svg("svg", { width: 24, height: 8 }, svg("line", { x1: 1, x2: 23, y1: 4, y2: 4, stroke: colour, "stroke-width": 2, "stroke-dasharray": dashes })), info.name);
    });
    const what = this.curves.length ? "Motion from the reference frame, px: mean of the tenth of pixels that moves most." : "There is no flow of this sample, hence no curve.";
    return h("p", { class: "about" }, what, names);
  }

  x(frame) {
    const [first, last] = this.range;
    return EDGE.left + ((frame - first) / (last - first || 1)) * (this.width - EDGE.left - EDGE.right);
  }

  frame(x) {
    const [first, last] = this.range;
    return first + ((x - EDGE.left) / (this.width - EDGE.left - EDGE.right)) * (last - first);
  }

  y(value) {
    return HEIGHT - EDGE.bottom - (value / this.top) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  lay() {
    this.width = this.element.clientWidth;
    if (!this.width) return;
    const values = this.curves.flatMap((info) => info.motion).filter((value) => value !== null);
    this.top = 1.1 * Math.max(0.5, ...values);
    this.chart.setAttribute("width", this.width);
    this.chart.setAttribute("height", HEIGHT);
    this.chart.replaceChildren(...this.axes(), ...this.marks(), ...this.curves.flatMap((info, at) => this.line(info, at)), this.head);
    if (this.now !== undefined) this.set(this.now);
  }

  axes() {
    const { onset } = this.data.marks;
    const { fps } = this.data;
    const timed = fps && onset >= 0;
    const unit = timed ? fps / 1000 : 1;
    const origin = timed ? onset : 0;
    const wide = this.range.map((frame) => (frame - origin) / unit);
    const ticks = round(wide[0], wide[1], this.width / 90).map((value) => [this.x(origin + value * unit), number(value, 6)]);
    const below = HEIGHT - EDGE.bottom;
    const levels = round(0, this.top, 3);
    return [
      ...levels.flatMap((value) => [svg("line", { class: "rule", x1: EDGE.left, x2: this.width - EDGE.right, y1: this.y(value), y2: this.y(value) }),
        svg("text", { x: EDGE.left - 6, y: this.y(value) + 4, "text-anchor": "end" }, number(value))]),
      ...ticks.map(([x, text]) => svg("text", { x, y: below + 14, "text-anchor": "middle" }, text)),
      svg("text", { x: this.width - EDGE.right, y: HEIGHT - 1, "text-anchor": "end", class: "unit" }, timed ? "ms after onset" : "frame"),
      svg("text", { x: EDGE.left - 6, y: EDGE.top - 6, class: "unit", "text-anchor": "end" }, "px"),
    ];
  }

  marks() {
    let taken = -Infinity;
    return Object.entries(this.data.marks).filter(([, frame]) => frame >= 0).flatMap(([name, frame]) => {
      const x = this.x(frame);
      const beside = x > taken ? x + 4 : taken;
      taken = beside + 7 * name.length + 6;
      const right = beside + 7 * name.length > this.width;
      return [svg("line", { class: "mark", x1: x, x2: x, y1: EDGE.top - 6, y2: HEIGHT - EDGE.bottom, stroke: this.colours[name] }),
        svg("text", { x: right ? x - 4 : beside, y: EDGE.top + 4, "text-anchor": right ? "end" : "start", class: "name" }, name)];
    });
  }

  line(info, at) {
    const [stroke, dashes] = LINES[at % LINES.length];
    const points = info.positions.map((frame, i) => [frame, info.motion[i]]).filter(([, value]) => value !== null)
      .map(([frame, value]) => [this.x(frame), this.y(value)]);
    return [svg("polyline", { points: points.join(" "), stroke, "stroke-dasharray": dashes, class: "motion" }),
      ...points.map(([cx, cy]) => svg("circle", { cx, cy, r: points.length === 1 ? 4 : 2, fill: stroke }))];
  }

  set(frame) {
    this.now = frame;
    if (!this.width) return;
    this.head.setAttribute("transform", `translate(${this.x(frame)} 0)`);
    this.head.setAttribute("aria-valuenow", number(frame, 7));
  }

  end() {
    this.watch.disconnect();
  }
}

// Some round numbers in a range, about so many.
function round(low, high, count) {
  const rough = (high - low) / Math.max(1, count) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(value);
  return found;
}
