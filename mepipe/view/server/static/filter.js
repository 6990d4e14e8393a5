// Which samples are asked for: the whole table is here, so nothing is fetched for it.

// What filtering needs, from the columns of a dataset, made once.
export function model(data) {
  const text = (name) => data.columns[name].values.map((value) => value.toLowerCase());
  const [subject, emotion, aus, note, clip] = ["subject", "emotion", "aus", "note", "clip"].map(text);
  const code = (name, row) => data.columns[name].codes[row];
  const search = data.id.map((id, row) =>
    [id.toLowerCase(), subject[code("subject", row)], emotion[code("emotion", row)], aus[code("aus", row)],
      note[code("note", row)], clip[code("clip", row)]].join("\n"));
  const failed = data.features.map((feature) => Object.values(feature.failed ?? {}).flat());
  const absent = data.features.filter((f) => f.panels?.length)
    .map((f) => new Set([...Object.values(f.failed).flat(), ...f.missing, ...f.unasked]));
  const flags = data.qc.flags ?? {};
  return {
    data, search, code,
    state: { failed: new Set(failed.flat()), incomplete: new Set(data.features.flatMap((f) => f.missing ?? [])) },
    flags: new Map(Object.entries(flags).map(([name, rows]) => [name, new Set(rows)])),
    flagged: new Set(Object.values(flags).flat()),
    blank: (row) => absent.every((rows) => rows.has(row)), // nothing of it can be shown
    why: (row) => data.features.flatMap((f) => Object.entries(f.failed ?? {})).find(([, rows]) => rows.includes(row))?.[0] ?? "not computed",
    units: data.columns.aus.units.map((units) => new Set(units.map(String))),
  };
}

// The rows that a query asks for, in its order.
export function rows(of, query) {
  const tests = [words(of, query.get("q")), values(of, "emotion", query.getAll("emotion")),
    values(of, "subject", query.getAll("subject")), units(of, query.getAll("au")),
    sets(query.getAll("state"), (name) => of.state[name]),
    sets(query.getAll("flag"), (name) => (name === "any" ? of.flagged : of.flags.get(name)))].filter(Boolean);
  const found = [];
  for (let row = 0; row < of.data.id.length; row++) if (tests.every((test) => test(row))) found.push(row);
  const scores = of.data.qc.scores;
  if (query.get("sort") === "suspicion" && scores) found.sort((a, b) => (scores[b] ?? -1) - (scores[a] ?? -1) || a - b);
  return found;
}

function words(of, text) {
  const wanted = (text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return wanted.length ? (row) => wanted.every((word) => of.search[row].includes(word)) : null;
}

function values(of, name, wanted) {
  if (!wanted.length) return null;
  const allowed = of.data.columns[name].values.map((value) => wanted.includes(value));
  return (row) => allowed[of.code(name, row)];
}

// Action units are asked for together: 6 and 12 is what has both.
function units(of, wanted) {
  if (!wanted.length) return null;
  const allowed = of.units.map((units) => wanted.every((unit) => units.has(unit)));
  return (row) => allowed[of.code("aus", row)];
}

// States and flags: any of those asked for.
function sets(wanted, set) {
  if (!wanted.length) return null;
  const found = wanted.map(set).filter(Boolean);
  return (row) => found.some((one) => one.has(row));
}

// How many samples have each value of a column, most first.
export function counts(of, name) {
  const { values: texts, codes } = of.data.columns[name];
  const found = new Array(texts.length).fill(0);
  for (const code of codes) found[code]++;
  return texts.map((text, code) => [text, found[code]]).sort((a, b) => b[1] - a[1]);
}

export function unitCounts(of) {
  const found = new Map();
  for (const code of of.data.columns.aus.codes) {
    for (const unit of of.units[code]) found.set(unit, (found.get(unit) ?? 0) + 1);
  }
  return [...found].sort((a, b) => Number(a[0]) - Number(b[0]));
}
