// Samples, small: asked for many at once, since each request costs as much as its picture.
import { h } from "./dom.js";
import { address, ask } from "./net.js";

const SIDE = 112; // px
const AT_ONCE = 16; // the server takes twice as many
const KEPT = 2000; // pictures, of 4 kB each

const kept = new Map();
let waiting = [];

// Returns the picture, and what makes it load.
export function thumb(dataset, id) {
  const image = h("img", { alt: "", width: SIDE, height: SIDE, decoding: "async" });
  return [image, () => load({ dataset, id, image, key: `${dataset}/${id}` })];
}

export const blank = (why) => h("span", { class: "blank" }, why);

function load(one) {
  if (kept.has(one.key)) one.image.src = kept.get(one.key);
  else if (waiting.push(one) === 1) setTimeout(begin); // with those that are asked for in the same moment
}

function begin() {
  const todo = waiting;
  waiting = [];
  for (const dataset of new Set(todo.map((one) => one.dataset))) {
    const here = todo.filter((one) => one.dataset === dataset);
    for (let first = 0; first < here.length; first += AT_ONCE) fetched(dataset, here.slice(first, first + AT_ONCE));
  }
}

async function fetched(dataset, some) {
  const query = [["dataset", dataset], ...some.map(({ id }) => ["id", id])];
  try {
    const content = await (await ask(address("thumbs", query))).arrayBuffer();
    const view = new DataView(content);
    let at = 0;
    for (const one of some) {
      const size = view.getUint32(at);
      at += 4 + size;
      show(one, size && new Blob([content.slice(at - size, at)]));
    }
  } catch {
    some.forEach((one) => one.image.replaceWith(blank("no picture")));
  }
}

function show({ key, image }, blob) {
  if (!blob) return void image.replaceWith(blank("no picture"));
  image.src = URL.createObjectURL(blob);
  kept.set(key, image.src);
  if (kept.size <= KEPT) return;
  const [[oldest, url]] = kept;
  kept.delete(oldest);
  URL.revokeObjectURL(url);
}
