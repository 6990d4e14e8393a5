// The address says all that is shown: #/sample/samm/006_1_2?frame=40&emotion=Anger

const PARTS = /^#?\/?/;

export function read() {
  const [path, query = ""] = location.hash.replace(PARTS, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { page: parts[0] ?? "", parts: parts.slice(1), query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function to(page, parts = [], query = new URLSearchParams()) {
  const text = query.toString();
  return `#/${[page, ...parts].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export const go = (hash) => {
  location.hash = hash;
};

// A step to go back to, of what is drawn already.
export function push(hash) {
  clearTimeout(noting);
  history.pushState(null, "", hash);
}

// Another address for what is shown already: no step to go back to, nothing drawn again. Browsers allow but some such
// notes in a second, and keys repeat: the last of several is written a moment later, unless one has gone elsewhere.
const LATER = 120; // ms
let noting;
export function note(hash) {
  const here = location.hash;
  clearTimeout(noting);
  noting = setTimeout(() => location.hash === here && history.replaceState(history.state, "", hash), LATER);
}

// A copy of a query without what says how one sample is looked at.
const OF_A_SAMPLE = ["frame", "speed", "panels", "compare", "wipe", "hold", "points"];
export function filters(query) {
  const copy = new URLSearchParams(query);
  OF_A_SAMPLE.forEach((name) => copy.delete(name));
  return copy;
}

export function changed(query, changes) {
  const copy = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    copy.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== "" && one !== undefined) copy.append(name, one);
    }
  }
  return copy;
}
