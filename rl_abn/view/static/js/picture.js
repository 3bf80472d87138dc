// A screen of the game with what is laid over it: sharp pixels, and lines at the window's own
// resolution above them.

import { h, sharpCanvas } from "./dom.js";

export class Picture {
  /**
   * @param id Of the canvas with the pixels.
   * @param label What it shows, for those who do not see it.
   * @param marks Draws lines: called with (context, zoom) where zoom is CSS pixels a pixel.
   */
  constructor(id, label, height, width, marks = () => {}) {
    Object.assign(this, { height, width });
    this.canvas = h("canvas.pixels", { id, role: "img", "aria-label": label, width, height });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.lines = h("canvas.lines", { "aria-hidden": "true" });
    this.screen = h("div.screen", {}, this.canvas, this.lines);
    this.below = h("div.below", {});
    this.element = h("div.fit", {}, this.screen, this.below);
    this.drawLines = sharpCanvas(this.lines, (context, wide) => marks(context, wide / this.width));
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  /** Shows ImageData of the picture's size. */
  show(pixels, step) {
    this.context.putImageData(pixels, 0, 0);
    this.drawLines();
    this.canvas.dataset.step = step;
  }

  /** The largest size that fits: a whole multiple of the pixels where little is lost by it. */
  fit() {
    const { clientWidth, clientHeight } = this.element;
    const room = clientHeight - this.below.offsetHeight;
    const largest = Math.min(clientWidth / this.width, room / this.height);
    if (!(largest > 0)) return;
    let zoom = Math.floor(largest);
    if (zoom / largest < 0.87) zoom = Math.floor(largest * 4) / 4 || largest;
    this.screen.style.width = `${Math.floor(zoom * this.width)}px`;
    this.screen.style.height = `${Math.floor(zoom * this.height)}px`;
  }

  /** The pixel under a pointer event as [x, y], fractions included; null outside. */
  pointAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.width;
    const y = ((event.clientY - box.top) / box.height) * this.height;
    return x < 0 || y < 0 || x >= this.width || y >= this.height ? null : [x, y];
  }
}

/** The cell of a map [rows, columns] at a pixel, as [row, column]; null where the map has none. */
export function cellAt([x, y], [rows, columns], { height, width, seenRows }) {
  const [top, end] = seenRows ?? [0, height];
  if (y < top || y >= end) return null;
  return [Math.floor(((y - top) / (end - top)) * rows), Math.floor((x / width) * columns)];
}

/** The box of a cell in pixels, [left, top, width, height]. */
export function boxOf([row, column], [rows, columns], { height, width, seenRows }) {
  const [top, end] = seenRows ?? [0, height];
  const [tall, wide] = [(end - top) / rows, width / columns];
  return [column * wide, top + row * tall, wide, tall];
}
