// The panels side by side, each drawn at the frame that is due.
import { h } from "./dom.js";
import { address, picture } from "./net.js";
import { Panel } from "./panel.js";
import { Wipe } from "./wipe.js";

// Children that are there already stay as they are.
function put(place, elements) {
  const same = elements.length === place.children.length && elements.every((element, i) => element === place.children[i]);
  if (!same) place.replaceChildren(...elements);
}

export class Stage {
  constructor(about, data, change) {
    Object.assign(this, { about, data, change, panels: new Map(), wipe: null, scales: {} });
    this.row = h("div", { class: "row" });
    this.element = h("section", { class: "stage", "aria-label": "Panels" });
  }

  // infos: the panels to show. pair: those compared, or null. scales: {kind: scale}.
  show(infos, pair, at, scales) {
    const before = this.scales;
    this.scales = scales;
    const kept = new Map();
    for (const info of infos) {
      const known = this.panels.get(info.panel);
      const panel = known ?? new Panel(this.about, info);
      kept.set(info.panel, panel);
      if (!known || before[info.kind] !== scales[info.kind]) panel.load(scales[info.kind]);
    }
    this.panels = kept;
    this.compare(pair, at, scales);
    const none = this.data.panels.length ? "No panel is chosen." : "No feature of this dataset is a picture.";
    put(this.row, kept.size || this.wipe ? [...kept.values()].map((panel) => panel.element) : [h("p", { class: "notice" }, none)]);
    put(this.element, [...(this.wipe ? [this.wipe.element] : []), this.row]);
  }

  compare(pair, at, scales) {
    if (!pair) {
      this.wipe = null;
      return;
    }
    const infos = this.data.panels.filter((info) => !info.absent);
    this.wipe ??= new Wipe(this.about, infos, pair, at, (change) =>
      this.change(change.pair ? { compare: change.pair.join(",") } : { wipe: Math.round(change.at * 1000) / 1000 }));
    if (this.wipe.pair.join() !== pair.join()) this.wipe.set(pair);
    const loaded = JSON.stringify([pair, scales]);
    if (this.loaded !== loaded || this.wipe.sides.some((side) => !side.bitmap)) this.wipe.load(scales);
    this.loaded = loaded;
  }

  draw(frame, points) {
    for (const panel of this.panels.values()) panel.draw(frame, points);
    this.wipe?.draw(frame, points);
  }

  // Strips of a sample that is not shown yet.
  static fetch(dataset, data, infos, scales) {
    for (const info of infos.filter((one) => !one.absent)) {
      picture(address("strip", { dataset, id: data.id, panel: info.panel, scale: scales[info.kind] ?? 1 })).catch(() => null);
    }
  }
}
