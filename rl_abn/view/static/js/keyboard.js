// Keys of the page that is shown: one table from keys to what they do.

/** Every key with what it does, for the help. */
export const KEYS = [
  ["Space", "play or pause"],
  ["← →", "one step back or on"],
  ["Shift ← →", "ten steps back or on"],
  ["Home End", "first and last step"],
  ["[ ]", "slower, faster"],
  ["b B", "next and previous bookmark"],
  ["+ −", "zoom the curves in and out"],
  ["m M", "next and previous map or evidence"],
  ["o", "overlay on or off"],
  ["f", "fixed scale or one for each frame"],
  ["l", "lines around objects"],
  ["p", "pairwise maps: arrows choose the place that looks"],
  ["w", "what if: edit the map at this step"],
  ["1 … 4", "while editing: add, remove, move, box"],
  ["i u", "while editing: invert, flatten"],
  ["p", "while editing: arrows choose a place, Space uses the tool there; of bars, they choose and raise one"],
  ["Ctrl Z, Ctrl Y", "while editing: undo, redo"],
  ["Esc", "close what is open"],
  ["?", "this list"],
];

/**
 * Listens to keys until the returned function is called. `actions` maps names such as "ArrowLeft",
 * "Shift+ArrowLeft", "Control+z" or "m" to functions.
 */
export function listen(actions) {
  const onkeydown = (event) => {
    if (event.defaultPrevented || event.altKey || event.metaKey || belongsElsewhere(event)) return;
    const action = actions[nameOf(event)];
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", onkeydown);
  return () => document.removeEventListener("keydown", onkeydown);
}

function nameOf(event) {
  const key = event.key === " " ? "Space" : event.key;
  if (event.ctrlKey) return `Control+${key}`;
  return event.shiftKey && key.length > 1 ? `Shift+${key}` : key;
}

/** Whether a key is for the element that has the focus: text, lists, buttons and their Space. */
function belongsElsewhere({ target, key }) {
  if (document.querySelector("dialog[open]")) return true;
  if (target.closest("select, textarea")) return true;
  const input = target.closest("input");
  const isArrow = key.startsWith("Arrow") || key === "Home" || key === "End";
  if (input?.type === "range" && !input.classList.contains("seek")) return isArrow;
  if (input?.type === "radio") return isArrow || key === " ";
  if (input?.type === "checkbox") return key === " ";
  if (input && input.type !== "range") return true;
  return (key === " " || key === "Enter") && Boolean(target.closest("button, a, summary"));
}
