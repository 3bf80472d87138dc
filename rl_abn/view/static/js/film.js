// The steps of the past that a map looks back to: their screens, each with its share of attention.

import { colour } from "./dom.js";
import { lit } from "./light.js";

const LINE = 17;
const BAR = 7;
const GAP = 10;
const FONT = "12px system-ui, sans-serif";

/** How long ago the i-th of n steps was, the last one being now. */
export function agoText(i, n) {
  const ago = n - 1 - i;
  return ago ? `${ago} ago` : "now";
}

/** Where each of n screens lies in a room, as [left, top, width, height] with its bar and text below. */
export function filmBoxes(n, width, height, aspect) {
  let best = null;
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const tall = (height - GAP * (rows - 1)) / rows - LINE - BAR;
    const wide = Math.min((width - GAP * (columns - 1)) / columns, tall * aspect);
    if (!best || wide > best.wide) best = { columns, wide };
  }
  const { columns, wide } = best;
  const tall = wide / aspect;
  const across = Math.min(width / columns, wide + 3 * GAP);
  return Array.from({ length: n }, (_, i) => [
    (i % columns) * across,
    Math.floor(i / columns) * (tall + BAR + LINE + GAP),
    wide,
    tall,
  ]);
}

/** The step at a point, or -1. */
export function stepAt(boxes, x, y) {
  return boxes.findIndex(
    ([left, top, wide, tall]) => x >= left && x <= left + wide && y >= top && y <= top + tall + BAR + LINE,
  );
}

export class Film {
  /** @param episode An Episode. @param onread Called once a step that was missing is read. */
  constructor(episode, onread) {
    Object.assign(this, { episode, onread });
    const [height, width] = [episode.height, episode.width].map((side) => Math.ceil(side / 2));
    this.small = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    this.whole = new OffscreenCanvas(episode.width, episode.height).getContext("2d");
  }

  /**
   * Draws the screens.
   *
   * @param context Of the canvas, of width x height.
   * @param step That is shown: the last screen.
   * @param values What stands below each. @param shares The lengths of the bars, 0..1.
   * @param places {shares, grid}: what lights the screens, places of all steps; null for nothing.
   */
  draw(context, width, height, { step, values, shares, unit, places }) {
    const n = values.length;
    const boxes = filmBoxes(n, width, height, this.episode.width / this.episode.height);
    const room = boxes[1]?.[0] - 2 || boxes[0][2]; // for a text: up to the next screen
    const most = values.indexOf(Math.max(...values));
    context.imageSmoothingEnabled = boxes[0][2] < this.episode.width;
    context.imageSmoothingQuality = "medium";
    context.font = FONT;
    context.textBaseline = "top";
    boxes.forEach(([left, top, wide, tall], i) => {
      const at = step - (n - 1 - i);
      const frame = this.frameOf(at);
      if (frame) context.drawImage(this.drawn(frame, places && this.partOf(places, i)), left, top, wide, tall);
      else {
        context.fillStyle = colour("--track");
        context.fillRect(left, top, wide, tall);
      }
      context.fillStyle = colour("--track");
      context.fillRect(left, top + tall + 1, wide, BAR - 1);
      context.fillStyle = colour("--warm");
      context.fillRect(left, top + tall + 1, wide * shares[i], BAR - 1);
      if (i === most) {
        context.strokeStyle = colour("--warm");
        context.lineWidth = 2;
        context.strokeRect(left + 1, top + 1, wide - 2, tall - 2);
      }
      context.fillStyle = colour("--ink");
      const ago = at < 0 ? "–" : agoText(i, n);
      const value = `${ago} · ${values[i].toFixed(2)}`;
      const texts = at < 0 ? ["before the game", ago] : [value + unit, value, ago];
      const text = texts.find((each) => context.measureText(each).width <= room) ?? ago;
      context.fillText(text, left, top + tall + BAR + 2);
    });
  }

  partOf({ shares, grid }, i) {
    const size = grid[0] * grid[1];
    return { shares: shares.subarray(i * size, (i + 1) * size), grid };
  }

  /** A step's screen; null where there was none, or until it is read. */
  frameOf(step) {
    if (step < 0) return null;
    const now = this.episode.stepNow(step);
    if (now) return now.frame;
    this.episode.step(step).then(this.onread, () => {});
    return null;
  }

  /** A canvas with a screen, lit by its own map where it has one. */
  drawn(frame, part) {
    this.whole.putImageData(frame, 0, 0);
    if (!part) return this.whole.canvas;
    const { canvas } = this.small;
    this.small.drawImage(this.whole.canvas, 0, 0, canvas.width, canvas.height);
    const small = this.small.getImageData(0, 0, canvas.width, canvas.height);
    const seenRows = this.episode.meta.seen_rows?.map((row) => Math.round(row / 2)) ?? null;
    this.small.putImageData(lit(small, part.shares, part.grid, { seenRows }), 0, 0);
    return canvas;
  }
}
