// Curves of a training: a small chart each, with its last value and the value under the pointer.

import { colour, h, say, sharpCanvas } from "./dom.js";
import { number, whole } from "./format.js";

const FIRST = [
  "rollout/ep_rew_mean",
  "eval/mean_score",
  "train/policy_gradient_loss",
  "train/policy_loss",
  "train/value_loss",
  "train/entropy_loss",
];

/** Charts of {steps, name: values}, those that matter most first. */
export function metricCharts({ steps = [], ...curves }) {
  const rank = (name) => {
    const at = FIRST.findIndex((first) => name.includes(first));
    return at < 0 ? FIRST.length : at;
  };
  const names = Object.keys(curves)
    .filter((name) => curves[name].some((value) => value !== null))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  if (!names.length) return h("p.note", {}, "No metrics were logged.");
  const find = h("input", {
    type: "search",
    placeholder: "Find a curve",
    "aria-label": "Find a curve",
    oninput: () => {
      for (const chart of rest)
        chart.hidden = !chart.dataset.name.includes(find.value.toLowerCase());
    },
  });
  const charts = names.map((name) => chartOf(name, steps, curves[name]));
  const shownFirst = charts.filter(
    (_, i) => rank(names[i]) < FIRST.length || names[i].includes("map"),
  );
  if (!shownFirst.length || charts.length <= 8) return h("div.charts", {}, charts);
  const rest = charts.filter((chart) => !shownFirst.includes(chart));
  return h(
    "div",
    {},
    h("div.charts", {}, shownFirst),
    h(
      "details.more",
      {},
      h("summary", {}, `${rest.length} more curves`),
      find,
      h("div.charts", {}, rest),
    ),
  );
}

function chartOf(name, steps, values) {
  const known = steps.map((step, i) => [step, values[i]]).filter(([, value]) => value !== null);
  const last = known.at(-1);
  const text = ([step, value]) => `${number(value, 4)} at ${whole(step)}`;
  const output = h("output", {}, text(last));
  const canvas = h("canvas.lines", {
    role: "img",
    "aria-label": `${name}: from ${number(known[0][1], 4)} to ${text(last)}`,
  });
  const lows = known.map(([, value]) => value);
  let [low, high] = [Math.min(...lows), Math.max(...lows)];
  if (low === high) [low, high] = [low - 1, high + 1];
  const [first, end] = [known[0][0], last[0]];
  let marked = null;
  const paint = sharpCanvas(canvas, (context, width, height) => {
    const place = ([step, value]) => [
      4 + ((step - first) / Math.max(1, end - first)) * (width - 8),
      height - 4 - ((value - low) / (high - low)) * (height - 8),
    ];
    context.strokeStyle = colour("--value");
    context.lineWidth = 1.5;
    context.beginPath();
    for (const point of known) context.lineTo(...place(point));
    context.stroke();
    const [x, y] = place(marked ?? last);
    context.fillStyle = colour("--ink");
    context.beginPath();
    context.arc(x, y, 3, 0, 2 * Math.PI);
    context.fill();
  });
  const mark = (point) => {
    marked = point;
    say(output, text(point ?? last));
    paint();
  };
  canvas.addEventListener("pointermove", ({ offsetX }) => {
    const step = first + ((offsetX - 4) / Math.max(1, canvas.clientWidth - 8)) * (end - first);
    mark(
      known.reduce((best, point) =>
        Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best,
      ),
    );
  });
  canvas.addEventListener("pointerleave", () => mark(null));
  const chart = h(
    "figure.chart",
    {},
    h("figcaption", {}, h("span", { title: name }, name), output),
    canvas,
  );
  chart.dataset.name = name.toLowerCase();
  return chart;
}
