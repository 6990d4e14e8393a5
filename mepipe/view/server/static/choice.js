// What of a sample is shown, and on which scales: pure functions of the sample and the address.

const AT_ONCE = { picture: 2, flow: 1, strain: 1 }; // panels of a kind that are shown unless others are asked for

const there = (info) => !info.absent;
const named = (data, name) => data.panels.find((info) => info.panel === name);

// The panels to show: those asked for, else some of each kind that move and one that does not.
export function chosen(data, query) {
  const asked = query.get("panels");
  if (asked === "none") return [];
  const found = (asked ?? "").split(",").map((name) => named(data, name)).filter(Boolean);
  if (found.length) return data.panels.filter((info) => found.includes(info));
  const left = { ...AT_ONCE, still: 1 };
  const usual = data.panels.map((info, place) => ({ info, place, span: span(info) })).sort((a, b) => b.span - a.span || a.place - b.place)
    .filter(({ info, span: frames }) => left[frames || info.kind !== "picture" ? info.kind : "still"]-- > 0);
  return usual.sort((a, b) => a.place - b.place).map(({ info }) => info);
}

// Over how many frames of the clip a panel goes; what is absent would go over all.
const span = (info) => (info.absent ? Infinity : info.positions.length ? info.positions.at(-1) - info.positions[0] : 0);

// The two panels that are compared; null where none are. any: also when none are asked for.
export function comparable(data, query, any = false) {
  const asked = (query.get("compare") ?? "").split(",").map((name) => named(data, name)).filter((info) => info && there(info));
  if (asked.length === 2) return asked.map((info) => info.panel);
  if (!any && !query.has("compare")) return null;
  const found = data.panels.filter((info) => there(info));
  const pairs = ["flow", "picture", "strain"].map((kind) => found.filter((info) => info.kind === kind && info.positions.length > 1));
  const pair = pairs.find((same) => same.length > 1) ?? (found.length > 1 ? found : null);
  return pair ? pair.slice(0, 2).map((info) => info.panel) : null;
}

// {kind: scale}: one for all that is shown of a kind, or the one that is held.
export function scales(data, panels, pair, query) {
  const held = Object.fromEntries((query.get("hold") ?? "").split(",").map((one) => one.split(":")).filter(([kind, value]) => kind && value > 0));
  const shown = [...panels, ...(pair ?? []).map((name) => named(data, name))].filter(there);
  const found = {};
  for (const { kind, scale } of shown) if (kind !== "picture") found[kind] = Number(held[kind] ?? Math.max(found[kind] ?? 0, scale));
  return found;
}

// Where to begin: at the apex, or where most moves.
export function first(data) {
  if (data.marks.apex >= 0) return data.marks.apex;
  const moving = data.panels.find((info) => info.motion?.length && info.positions.length);
  return moving ? moving.positions[moving.motion.indexOf(Math.max(...moving.motion))] ?? moving.positions[0] : range(data)[0];
}

// The first and last frame number of all that is known.
export function range(data) {
  const marks = Object.values(data.marks).filter((frame) => frame >= 0);
  const all = [...marks, ...data.panels.flatMap((info) => info.positions ?? [])];
  return all.length ? [Math.min(...all), Math.max(...all)] : [0, 0];
}
