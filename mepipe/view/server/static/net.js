// What the server is asked for. It refuses what comes in too large numbers: then again, a little later.

const TRIES = 6;
const KEPT = 48; // decoded strips, of some 3 MB each

export const address = (path, query) => `${path}?${new URLSearchParams(query)}`;

export async function ask(url) {
  for (let tries = 1; ; tries++) {
    const answer = await fetch(url).catch(() => null);
    if (answer === null) throw new Error("The server does not answer. Is mepipe view still running?");
    if (answer.ok) return answer;
    if (answer.status !== 503 || tries === TRIES) throw new Error(await reason(answer));
    await new Promise((done) => setTimeout(done, 200 * 2 ** tries));
  }
}

async function reason(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return text.trim() || `The server answers ${answer.status}.`;
  }
}

export const json = async (path, query = {}) => (await ask(address(path, query))).json();

const kept = new Map();

// A picture, decoded, ready to be drawn. The latest asked for are kept.
export function picture(url) {
  const known = kept.get(url);
  const found = known ?? ask(url).then((answer) => answer.blob()).then((blob) => createImageBitmap(blob));
  if (known === undefined) found.catch(() => kept.delete(url));
  kept.delete(url);
  kept.set(url, found);
  if (kept.size > KEPT) {
    const [oldest] = kept.keys();
    kept.delete(oldest);
  }
  return found;
}
