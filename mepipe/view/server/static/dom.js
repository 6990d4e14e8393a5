// Elements made by hand: h("a", {href: "#"}, "text"). Text is always text, never markup.

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// A button that is on or off.
export const toggle = (text, pressed, onclick, more = {}) =>
  h("button", { class: "chip", "aria-pressed": String(pressed), onclick, ...more }, text);

// Other children; who had the focus has it still, if there is something in its place.
const FOCUSABLE = "a, button, input, select";
export function renew(place, children) {
  const at = [...place.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  place.replaceChildren(...children.filter(Boolean));
  if (at >= 0) place.querySelectorAll(FOCUSABLE)[at]?.focus();
}

export const number = (value, digits = 3) => (value === null ? "–" : Number(value.toPrecision(digits)).toString());
export const grouped = (value) => value.toLocaleString("en-US");
