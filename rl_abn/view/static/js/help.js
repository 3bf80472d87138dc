// The list of keys, and menus that close on Esc or a click beside them.

import { h } from "./dom.js";
import { KEYS } from "./keyboard.js";

const dialog = h(
  "dialog.help",
  { "aria-labelledby": "help-title" },
  h("h2", { id: "help-title" }, "Keys"),
  h(
    "dl",
    {},
    KEYS.map(([keys, what]) =>
      h(
        "div",
        {},
        h(
          "dt",
          {},
          keys
            .split(/(?=[ ,])|(?<= )/)
            .map((part) => (/^[ ,…]+$/.test(part) ? part : h("kbd", {}, part))),
        ),
        h("dd", {}, what),
      ),
    ),
  ),
  h("p", {}, "Click or drag on a curve to go to a step; turn the wheel over the curves to zoom."),
  h("form", { method: "dialog" }, h("button.primary", {}, "Close")),
);

/** Opens the list of keys. */
export function showHelp() {
  if (!dialog.isConnected) document.body.append(dialog);
  if (!dialog.open) dialog.showModal();
}

/** A menu below a button. */
export function menu(label, ...content) {
  return h("details.menu", {}, h("summary", {}, label), h("div.sheet", {}, content));
}

/** Closes menus; returns whether one was open. */
export function closeMenus(except = null) {
  const open = [...document.querySelectorAll("details.menu[open]")].filter(
    (found) => found !== except,
  );
  for (const found of open) {
    const hadFocus = found.contains(document.activeElement);
    found.open = false;
    if (hadFocus) found.querySelector("summary").focus();
  }
  return open.length > 0;
}

document.addEventListener("pointerdown", (event) =>
  closeMenus(event.target.closest?.("details.menu")),
);
