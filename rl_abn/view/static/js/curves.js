// Curves over an episode, a lane each: drawn on one canvas, and a way to any step.

import { colour, h, say, sharpCanvas } from "./dom.js";
import { number, words } from "./format.js";
import { rangeOf } from "./scale.js";

/** Room left and right of the curves, half of the slider's thumb. */
export const INSET = 8;
const PAD = 4;
const SERIES = ["--value", "--branch", "--warm"];
const SHOWN_FIRST = ["value", "reward", "advantage", "entropy", "map_contrast"];

/** The lanes that curves can fill, each {name, label, series: [{name, values}], isBars, fromZero}. */
export function lanesOf(curves) {
  const lane = (name, label, names, more = {}) => {
    const series = names
      .filter((found) => curves[found])
      .map((found) => ({ name: found, values: curves[found] }));
    return { name, label, series, ...more };
  };
  const contrast = Object.entries(curves.map_contrast ?? {}).map(([name, values]) => ({
    name,
    values,
  }));
  return [
    lane("value", "Value", ["value", "branch_value"]),
    lane("reward", "Reward", ["reward"], { isBars: true }),
    lane("advantage", "Advantage", ["advantage"], { hasZero: true }),
    lane("entropy", "Entropy", ["entropy"], { fromZero: true }),
    { name: "map_contrast", label: "Contrast", series: contrast, fromZero: true },
    lane("map_change", "Map change", ["map_change"], { fromZero: true }),
    lane("disagreement", "Branch differs", ["disagreement"], { fromZero: true }),
    lane("score", "Score", ["score"], { fromZero: true }),
    lane("lives", "Lives", ["lives"], { fromZero: true }),
  ].filter(({ series }) => series.length);
}

export function isShownFirst(name) {
  return SHOWN_FIRST.includes(name);
}

export class Curves {
  /**
   * @param lanes Of `lanesOf`, of one episode or of several.
   * @param onseek Called with a step where the curves are clicked or dragged.
   */
  constructor(lanes, onseek) {
    Object.assign(this, { lanes, onseek, step: 0, window: [0, 1] });
    this.canvas = h("canvas.lines", {
      role: "img",
      "aria-label": "Curves over the episode; the slider above goes to the same steps",
    });
    this.labels = h("div.lane-labels", {});
    this.element = h("div.curves", {}, this.labels, h("div.lane-canvas", {}, this.canvas));
    this.paint = sharpCanvas(this.canvas, (context, width, height) =>
      this.draw(context, width, height),
    );
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event));
    this.still = new OffscreenCanvas(1, 1); // the lanes, drawn once for a window of steps
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.drawn = null;
      this.paint();
    });
    this.choose(lanes);
  }

  /** Shows these lanes. */
  choose(lanes) {
    this.shown = lanes;
    this.values = lanes.map((lane) => lane.series.map((_, i) => h("output", { "data-series": i })));
    this.labels.replaceChildren(
      ...lanes.map((lane, i) =>
        h(
          "div.lane-label",
          { title: lane.series.map(({ name }) => words(name)).join(", ") },
          h("span", {}, lane.label),
          this.values[i],
        ),
      ),
    );
    this.element.style.setProperty("--lanes", lanes.length);
    this.update(this.step, this.window);
  }

  /** Goes to a step; `window` holds the first and the last step that are shown. */
  update(step, window) {
    Object.assign(this, { step, window });
    this.shown.forEach((lane, i) =>
      lane.series.forEach(({ values }, k) =>
        say(this.values[i][k], number(values[step], 4 - lane.series.length)),
      ),
    );
    this.paint();
  }

  drag(event) {
    if (event.button !== 0) return;
    const seek = ({ clientX }) => {
      const box = this.canvas.getBoundingClientRect();
      const [from, to] = this.window;
      const share = (clientX - box.left - INSET) / (box.width - 2 * INSET);
      this.onseek(Math.round(from + Math.min(Math.max(share, 0), 1) * (to - from)));
    };
    this.canvas.setPointerCapture(event.pointerId);
    seek(event);
    const stop = () => this.canvas.removeEventListener("pointermove", seek);
    this.canvas.addEventListener("pointermove", seek);
    this.canvas.addEventListener("pointerup", stop, { once: true });
    this.canvas.addEventListener("pointercancel", stop, { once: true });
  }

  draw(context, width, height) {
    const { canvas, still, window } = this;
    const { a: ratio } = context.getTransform();
    const key = [
      canvas.width,
      canvas.height,
      ...window,
      ...this.shown.map(({ name }) => name),
    ].join();
    if (key !== this.drawn) {
      this.drawn = key;
      Object.assign(still, { width: canvas.width, height: canvas.height });
      const lanes = still.getContext("2d");
      lanes.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.drawLanes(lanes, width, height);
    }
    context.drawImage(still, 0, 0, width, height);
    const at = this.placeOf(this.step, width);
    context.fillStyle = colour("--ink");
    context.fillRect(Math.round(at) - 0.5, 0, 1.5, height);
  }

  drawLanes(context, width, height) {
    const tall = height / this.shown.length;
    const line = colour("--line");
    const hues = SERIES.map(colour);
    this.shown.forEach((lane, i) => {
      const top = i * tall;
      context.fillStyle = line;
      context.fillRect(0, Math.round(top + tall) - 1, width, 1);
      this.drawLane(context, lane, hues, line, [top + PAD, top + tall - PAD], width);
    });
  }

  drawLane(context, lane, hues, line, [top, bottom], width) {
    const [low, high] = laneRange(lane, this.window);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    if ((lane.hasZero || lane.isBars) && low < 0) {
      context.fillStyle = line;
      context.fillRect(INSET, Math.round(y(0)), width - 2 * INSET, 1);
    }
    lane.series.forEach(({ values }, k) => {
      context.strokeStyle = context.fillStyle =
        lane.isBars && lane.series.length === 1 ? hues[2] : hues[k % 3];
      context.lineWidth = 1.25;
      if (lane.isBars && lane.series.length > 1) {
        const tall = (bottom - top) / 2; // one above the other
        this.bars(
          context,
          values,
          (value) => top + (k + 1) * tall - ((value - low) / (high - low)) * (tall - 2),
          width,
        );
      } else if (lane.isBars) this.bars(context, values, y, width);
      else this.line(context, values, y, width);
    });
  }

  /** A line through all values; where several fall on a pixel, from their lowest to their highest. */
  line(context, values, y, width) {
    const [from, to] = this.window;
    const perPixel = (to - from) / (width - 2 * INSET);
    const bucket = Math.max(1, Math.ceil(perPixel));
    context.beginPath();
    for (let t = from; t <= Math.min(to, values.length - 1); t += bucket) {
      const x = this.placeOf(t, width);
      const [low, high] =
        bucket === 1 ? [values[t], values[t]] : rangeOf(values.slice(t, t + bucket));
      context.lineTo(x, y(low));
      if (high > low) context.lineTo(x, y(high));
    }
    context.stroke();
  }

  bars(context, values, y, width) {
    const [from, to] = this.window;
    const zero = y(0);
    const wide = Math.max(1.5, Math.min(6, (width - 2 * INSET) / (to - from + 1) - 1));
    for (let t = from; t <= Math.min(to, values.length - 1); t++) {
      if (values[t] === 0) continue;
      const end = y(values[t]);
      context.fillRect(
        this.placeOf(t, width) - wide / 2,
        Math.min(zero, end),
        wide,
        Math.max(2, Math.abs(end - zero)),
      );
    }
  }

  placeOf(step, width) {
    const [from, to] = this.window;
    return INSET + ((step - from) / Math.max(1, to - from)) * (width - 2 * INSET);
  }
}

/** The lowest and highest value of a lane within a window, never the same. */
function laneRange(lane, [from, to]) {
  let [low, high] = lane.fromZero || lane.isBars || lane.hasZero ? [0, 0] : [Infinity, -Infinity];
  for (const { values } of lane.series) {
    const [least, most] = rangeOf(values.slice(from, to + 1));
    if (least < low) low = least;
    if (most > high) high = most;
  }
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}
