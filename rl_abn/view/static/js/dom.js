// Small helpers to build elements.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element: `h("button.primary", {type: "button", onclick: f, "aria-label": "Play"}, "▶")`.
 * Names that begin with "on" are listeners, other functions and booleans are properties, and the
 * rest are attributes; null and undefined are left out.
 */
export function h(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  set(element, attributes);
  element.append(...children.flat(3).filter((child) => child != null && child !== false));
  return element;
}

/** Makes an SVG element with attributes. */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function set(element, attributes) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value == null) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") element[key] = value;
    else element.setAttribute(key, value);
  }
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child != null && child !== false));
  return element;
}

/** Sets an element's text where it differs: the page is laid out anew only for changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A canvas whose pixels are those of the screen; calls `draw(context, width, height)` on resizing. */
export function sharpCanvas(canvas, draw) {
  const paint = () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [w, t] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== t) Object.assign(canvas, { width: w, height: t });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, width, height);
  };
  new ResizeObserver(paint).observe(canvas);
  return paint;
}

/** Colours of the page by name, such as colour("--ink"), for drawing on canvases. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A row of buttons of which one is chosen, as radio buttons are: `choices` are [value, label]. */
export function choice(label, choices, chosen, onchange) {
  const name = `choice-${(choice.n = (choice.n ?? 0) + 1)}`;
  const inputs = choices.map(([value]) =>
    h("input", {
      type: "radio",
      name,
      value,
      checked: value === chosen,
      onchange: () => onchange(value),
    }),
  );
  const group = h(
    "div.choice",
    { role: "radiogroup", "aria-label": label },
    choices.map(([, text], i) => h("label", {}, inputs[i], h("span", {}, text))),
  );
  group.choose = (value) =>
    inputs.forEach((input) => {
      input.checked = input.value === value;
    });
  return group;
}
