// Returns of futures: a point each, means and intervals, on one axis.

import { colour, h, sharpCanvas } from "./dom.js";
import { number } from "./format.js";

const SIDES = [
  ["own", "--value"],
  ["edited", "--edited"],
];
const LEFT = 52;
const RIGHT = 12;

export class FuturesChart {
  constructor() {
    this.canvas = h("canvas.lines", {
      role: "img",
      "aria-label": "Returns of the futures of both sides",
    });
    this.element = h("div.futures-chart", { hidden: true }, this.canvas);
    this.paint = sharpCanvas(
      this.canvas,
      (context, width, height) => this.result && this.draw(context, width, height),
    );
  }

  show(result) {
    this.result = result;
    this.element.hidden = false;
    const say = (side) => {
      const { mean, low, high } = result[side];
      const interval = low == null ? "" : `, interval ${number(low)} to ${number(high)}`;
      return `${side}: mean ${number(mean)}${interval}`;
    };
    this.canvas.setAttribute(
      "aria-label",
      `Returns of the futures. ${say("own")}; ${say("edited")}`,
    );
    this.paint();
  }

  draw(context, width, height) {
    const all = SIDES.flatMap(([side]) => this.result[side].returns);
    let [low, high] = [Math.min(...all), Math.max(...all)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const x = (value) => LEFT + 8 + ((value - low) / (high - low)) * (width - LEFT - RIGHT - 16);
    const [ink, muted, line] = ["--ink", "--muted", "--line"].map(colour);
    context.font = `12px ${getComputedStyle(this.canvas).fontFamily}`;
    context.textBaseline = "middle";
    const room = (height - 18) / 2;
    SIDES.forEach(([side, hue], i) => {
      const { returns, mean, low: least, high: greatest } = this.result[side];
      const y = room * (i + 0.5);
      context.fillStyle = ink;
      context.fillText(side, 0, y);
      context.fillStyle = line;
      context.fillRect(LEFT, Math.round(y), width - LEFT - RIGHT, 1);
      context.fillStyle = colour(hue);
      const points = stacked(returns);
      const most = Math.max(...points.map(([, level]) => level));
      const gap = Math.min(7, (room - 22) / Math.max(1, most));
      points.forEach(([value, level]) => {
        context.globalAlpha = 0.75;
        context.beginPath();
        context.arc(
          x(value),
          y + gap * (level % 2 ? -1 : 1) * Math.ceil(level / 2),
          4,
          0,
          2 * Math.PI,
        );
        context.fill();
      });
      context.globalAlpha = 1;
      context.fillStyle = ink;
      context.fillRect(x(mean) - 1, y - room / 2 + 3, 2, room - 6);
      if (least != null && greatest != null)
        context.fillRect(x(least), y + room / 2 - 3, Math.max(1, x(greatest) - x(least)), 2);
    });
    context.fillStyle = muted;
    context.textBaseline = "bottom";
    context.fillText(number(low), x(low), height);
    context.textAlign = "right";
    context.fillText(number(high), x(high), height);
    context.textAlign = "left";
  }
}

/** Values with how many of the same came before. */
function stacked(values) {
  const seen = new Map();
  return values.map((value) => {
    const level = seen.get(value) ?? 0;
    seen.set(value, level + 1);
    return [value, level];
  });
}
