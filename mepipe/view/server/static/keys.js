// The keyboard: one table for each page, which is also what the help shows.
import { h } from "./dom.js";

let table = [];

// rows: [key as KeyboardEvent.key has it, what it does, function]; several keys are given as an array.
export function use(rows) {
  table = rows;
}

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
const named = (key) => NAMES[key] ?? key;

function writes(element) {
  return element.closest("input:not([type=checkbox]), textarea, select") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (writes(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "?") return void (help(), event.preventDefault());
  if ([" ", "Enter"].includes(event.key) && event.target.closest("button, a, summary")) return; // it is pressed itself
  const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  const row = table.find(([keys]) => [keys].flat().includes(key));
  if (row === undefined) return;
  event.preventDefault();
  row[2](event);
});

export function help() {
  const rows = [...table, ["?", "this help"]].map(([keys, what]) =>
    h("tr", {}, h("td", {}, [keys].flat().map((key) => h("kbd", {}, key.split("+").map(named).join(" ")))), h("td", {}, what)),
  );
  const dialog = h("dialog", { "aria-label": "Keyboard", onclose: () => dialog.remove() },
    h("h2", {}, "Keyboard"), h("table", {}, rows),
    h("form", { method: "dialog" }, h("button", { autofocus: true }, "Close")));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.key === "?" && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
