// One panel: a strip of frames, of which the one that is due is drawn; its caption; what its colours mean.
import { h, number } from "./dom.js";
import { nearest } from "./clock.js";
import { address, picture } from "./net.js";

const FINE = 2; // canvas pixels to a pixel of the feature
const POINTS = "#56b4e9";

// A panel's frames: fetched once for each scale.
export class Frames {
  constructor(dataset, id, info) {
    Object.assign(this, { dataset, id, info, bitmap: null, scale: null });
  }

  async load(scale) {
    const url = address("strip", { dataset: this.dataset, id: this.id, panel: this.info.panel, scale: scale ?? 1 });
    this.url = url;
    const bitmap = await picture(url);
    if (this.url === url) Object.assign(this, { bitmap, scale });
  }

  place(frame) {
    return nearest(this.info.positions, frame);
  }

  // Draws one frame over a whole canvas.
  draw(context, frame) {
    const [width, height] = this.info.size;
    const place = this.place(frame);
    const [x, y] = [Math.floor(place / this.info.rows) * width, (place % this.info.rows) * height];
    context.imageSmoothingEnabled = this.info.kind === "picture";
    context.drawImage(this.bitmap, x, y, width, height, 0, 0, context.canvas.width, context.canvas.height);
  }
}

export class Panel {
  // about: {dataset, id, onset, fps, landmarks}.
  constructor(about, info) {
    this.about = about;
    this.info = info;
    this.caption = h("span", { class: "when" });
    this.body = h("div", { class: "picture" });
    this.element = h("figure", { class: "panel", "data-panel": info.panel },
      h("figcaption", { title: info.name }, h("b", {}, info.name)), this.body,
      h("div", { class: "under" }, this.caption, (this.legend = h("div", { class: "legend" }))));
    if (info.absent) {
      this.body.append(h("p", { class: "absent" }, info.absent));
      return;
    }
    this.frames = new Frames(about.dataset, about.id, info);
    const [width, height] = info.size;
    this.canvas = h("canvas", { width: width * FINE, height: height * FINE, role: "img", "aria-label": info.name });
    this.body.append(this.canvas);
  }

  async load(scale) {
    if (this.info.absent) return;
    legend(this.legend, this.about.dataset, this.info, scale);
    try {
      await this.frames.load(scale);
      this.drawn = null;
      this.draw(this.frame, this.points);
    } catch (error) {
      this.body.replaceChildren(h("p", { class: "absent" }, error.message));
    }
  }

  draw(frame, points) {
    Object.assign(this, { frame, points });
    if (!this.frames?.bitmap || frame === undefined) return;
    const place = this.frames.place(frame);
    if (this.drawn === `${place} ${points}`) return;
    this.drawn = `${place} ${points}`;
    const context = this.canvas.getContext("2d");
    this.frames.draw(context, frame);
    if (points && this.info.kind === "picture") overlay(context, this.about.landmarks, frame);
    this.caption.textContent = when(this.about, this.info, place);
  }
}

// Which frame of the clip this is: what is shown stands for that, wherever the playhead is.
export function when({ onset, fps }, info, place) {
  if (!info.positions.length) return "whole clip";
  const at = info.positions[place];
  const some = info.shown < info.frames ? `, ${info.shown} of ${info.frames} frames` : "";
  const odd = info.unfit ? ` · ${number(100 * info.unfit, 2)} % not finite` : "";
  return `frame ${number(at, 7)}${fps && onset >= 0 ? ` · ${Math.round(((at - onset) / fps) * 1000)} ms` : ""}${some}${odd}`;
}

export function overlay(context, landmarks, frame) {
  if (!landmarks) return;
  context.fillStyle = POINTS;
  for (const [x, y] of landmarks.points[nearest(landmarks.positions, frame)]) {
    context.fillRect((x + 0.5) * FINE - 2, (y + 0.5) * FINE - 2, 4, 4);
  }
}

export function legend(place, dataset, info, scale) {
  if (info.kind === "picture") return void place.replaceChildren();
  const key = h("img", { class: `key ${info.kind}`, alt: "", src: address("key", { dataset, panel: info.panel, scale }) });
  const units = info.units ? ` ${info.units}` : "";
  place.replaceChildren(...(info.kind === "flow"
    ? [key, h("span", {}, `rim: ${number(scale)}${units}`)]
    : [h("span", {}, "0"), key, h("span", {}, `${number(scale)}${units}`)]));
}
