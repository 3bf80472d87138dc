// From a layer's values to how strongly they are shown, 0..1, and what stands at the scale's ends.

import { ends } from "./format.js";

/** On the fixed scale, larger multiples of an even map's value are shown like this one. */
export const MOST_TIMES_EVEN = 8;
const FLAT = 1e-6;
const NEARLY_FLAT = 0.06;

/**
 * The ends of a layer's scale at a step: {low, high, lowText, highText, note, isFixed}.
 *
 * Maps have a fixed scale, 0..1 or multiples of an even map's value, or are stretched to their own
 * range. Evidence has no unit, so it has a scale a frame, one for all actions.
 */
export function scaleOf(layer, values, arrays, meta, asked) {
  const unit = meta.map_scale === "even" && layer.kind === "map" ? " × even" : "";
  const range = rangeOf(values);
  if (layer.kind === "map" && asked === "fixed") {
    const high = unit ? MOST_TIMES_EVEN : 1;
    const isFlat = range[1] - range[0] < NEARLY_FLAT * high;
    const note = isFlat ? "nearly even: press f" : "same on every frame";
    return {
      low: 0,
      high,
      lowText: "0",
      highText: unit ? `${high}+${unit}` : "1",
      note,
      isFixed: true,
    };
  }
  let [low, high] = range;
  let note = "frames not comparable";
  if (layer.kind === "evidence" && layer.index < meta.action_names.length) {
    const size = layer.rows * layer.columns;
    [low, high] = rangeOf(arrays.evidence.subarray(0, meta.action_names.length * size));
    note = "all actions, this frame";
  }
  const [lowText, highText] = ends(low, high);
  return { low, high, lowText: lowText + unit, highText: highText + unit, note, isFixed: false };
}

/** How strongly each value is shown on a scale, 0..1; values beyond its ends like those. */
export function sharesOf(values, { low, high }) {
  if (high - low < FLAT) return new Float32Array(values.length);
  return Float32Array.from(values, (value) =>
    Math.min(Math.max((value - low) / (high - low), 0), 1),
  );
}

/** A layer's own range as text. */
export function rangeText(values, unit = "") {
  const [low, high] = rangeOf(values);
  const [lowText, highText] = ends(low, high);
  return high - low < FLAT ? `${lowText}${unit} everywhere` : `${lowText} to ${highText}${unit}`;
}

export function rangeOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
