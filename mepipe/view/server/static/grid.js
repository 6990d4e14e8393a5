// A grid of any number of tiles, of which only those in sight are there.

const BEYOND = 2; // rows above and below
const LATER = 70; // ms: a tile that is scrolled past asks for no picture

export class Grid {
  // make(position, later) -> element; `later`: how long to wait with what costs. width, height: of a tile, px.
  constructor(count, make, width, height, label) {
    Object.assign(this, { count, make, width, height, shown: new Map(), columns: 1, at: 0 });
    this.sheet = document.createElement("div");
    this.sheet.className = "sheet";
    this.element = document.createElement("div");
    this.element.className = "grid";
    this.element.setAttribute("role", "list");
    this.element.setAttribute("aria-label", label);
    this.element.append(this.sheet);
    this.element.addEventListener("scroll", () => this.soon(), { passive: true });
    this.watch = new ResizeObserver(() => this.size() !== this.laid && this.lay());
    this.watch.observe(this.element);
  }

  soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.draw(LATER);
    });
  }

  // Other tiles: what is shown is made anew, from the top.
  reset(count, make) {
    Object.assign(this, { count, make, at: 0 });
    this.element.scrollTop = 0;
    this.lay();
  }

  size() {
    return `${this.element.clientWidth} x ${this.element.clientHeight}`;
  }

  lay() {
    const width = this.sheet.clientWidth; // without the padding beside it
    if (!width) return;
    this.laid = this.size();
    this.columns = Math.max(1, Math.floor(width / this.width));
    this.wide = width / this.columns;
    this.sheet.style.height = `${Math.ceil(this.count / this.columns) * this.height}px`;
    this.sheet.replaceChildren();
    this.shown.clear();
    this.draw(0);
  }

  draw(later) {
    const top = this.element.scrollTop;
    const first = Math.max(0, Math.floor(top / this.height) - BEYOND) * this.columns;
    const last = Math.min(this.count, (Math.ceil((top + this.element.clientHeight) / this.height) + BEYOND) * this.columns);
    for (const [position, tile] of this.shown) {
      if (position < first || position >= last) {
        tile.remove();
        this.shown.delete(position);
      }
    }
    for (let position = first; position < last; position++) if (!this.shown.has(position)) this.add(position, later);
  }

  add(position, later) {
    const tile = this.make(position, later);
    const row = Math.floor(position / this.columns);
    tile.style.transform = `translate(${(position % this.columns) * this.wide}px, ${row * this.height}px)`;
    tile.style.width = `${this.wide}px`;
    tile.style.height = `${this.height}px`;
    tile.tabIndex = position === this.at ? 0 : -1;
    tile.setAttribute("aria-posinset", position + 1);
    tile.setAttribute("aria-setsize", this.count);
    tile.addEventListener("focus", () => (this.at = position));
    this.sheet.append(tile);
    this.shown.set(position, tile);
  }

  // Moves the focus; scrolls if need be.
  focus(position) {
    if (!this.count) return;
    const to = Math.max(0, Math.min(this.count - 1, position));
    const old = this.shown.get(this.at);
    if (old) old.tabIndex = -1;
    this.at = to;
    this.reveal(to);
    const tile = this.shown.get(to);
    tile.tabIndex = 0;
    tile.focus({ preventScroll: true });
  }

  reveal(position) {
    const top = Math.floor(position / this.columns) * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.draw(0);
  }

  get page() {
    return Math.max(1, Math.floor(this.element.clientHeight / this.height)) * this.columns;
  }

  end() {
    this.watch.disconnect();
  }
}
