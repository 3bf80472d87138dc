// Numbers as text.

const MINUS = "\u2212";

/** A number with as many digits as are of use: 1234, 12.3, 0.0123. */
export function number(value, digits = 3) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return whole(value);
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-4) return minus(value.toExponential(1));
  const decimals = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return minus(size >= 1000 ? whole(Math.round(value)) : value.toFixed(Math.min(decimals, 6)));
}

/** A whole number with a comma every three digits. */
export function whole(value) {
  return minus(Math.round(value).toLocaleString("en-US"));
}

/** A share of 1 as per cent. */
export function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.5) return "<1%";
  return value > 99.5 && value < 100 ? ">99%" : `${Math.round(value)}%`;
}

/** The two ends of a range, with as many digits as tell them apart. */
export function ends(low, high) {
  const range = high - low;
  const decimals = range > 1e-6 ? Math.min(7, Math.max(2, 1 + Math.ceil(-Math.log10(range)))) : 2;
  return [minus(low.toFixed(decimals)), minus(high.toFixed(decimals))];
}

/** A value of a map. */
export function mapValue(value) {
  return minus(value.toFixed(4));
}

/** A difference with its sign. */
export function signed(value, digits = 3) {
  return value > 0 ? `+${number(value, digits)}` : number(value, digits);
}

/** Seconds as minutes and seconds. */
export function clock(seconds) {
  const total = Math.floor(seconds);
  return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, "0")}`;
}

/** A name of a recipe or curve as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}

function minus(text) {
  return text.replace("-", MINUS);
}
