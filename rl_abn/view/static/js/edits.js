// Maps of one step while they are edited: brushes, whole-map changes, undo. No drawing here.

const MOST_UNDONE = 200;

export class MapEdit {
  /**
   * @param maps By name, {rows, columns, values}: the agent's own, as they are stored.
   * @param shared What shares out a sum: {size, sum}, so many values after each other share that
   *     one; null for maps that do not.
   */
  constructor(maps, shared) {
    Object.assign(this, { maps, shared, past: [], future: [] });
    this.now = copy(
      Object.fromEntries(Object.entries(maps).map(([name, { values }]) => [name, values])),
    );
  }

  /** The names of the maps that differ from the agent's own. */
  get changed() {
    return Object.keys(this.now).filter((name) =>
      this.now[name].some((value, i) => value !== this.maps[name].values[i]),
    );
  }

  /** The changed maps as rows of numbers, for the server; null where none is. */
  get painted() {
    const names = this.changed;
    return names.length
      ? Object.fromEntries(
          names.map((name) => [name, rowsOf(this.now[name], this.maps[name].columns)]),
        )
      : null;
  }

  /** Makes what follows one step of undo. */
  begin() {
    this.past.push(copy(this.now));
    if (this.past.length > MOST_UNDONE) this.past.shift();
    this.future = [];
  }

  /**
   * Raises or lowers a map around places, from what it was when the stroke began.
   *
   * @param name Of the map.
   * @param weights How much of `amount` each place gets, 0..1.
   * @param amount To add, in stored units; below 0 removes.
   */
  stroke(name, weights, amount) {
    const before = this.past.at(-1)[name];
    this.put(
      name,
      before.map((value, i) => value + weights[i] * amount),
    );
  }

  /** Replaces the values [from, end) of a map by a function of (value, place in the map). */
  each(name, change, [from, end]) {
    this.put(
      name,
      this.now[name].map((value, i) => (i >= from && i < end ? change(value, i) : value)),
    );
  }

  /** 1 - M; of maps that share out a sum, what is far from their highest value gets the most. */
  invert(name, range) {
    this.begin();
    const values = this.now[name].subarray(...range);
    const most = this.shared ? values.reduce((a, b) => Math.max(a, b), 0) : 1;
    this.each(name, (value) => most - value, range);
  }

  /** The mean in every place. */
  flatten(name, range) {
    this.begin();
    const values = this.now[name].subarray(...range);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    this.each(name, () => mean, range);
  }

  /** Moves a map of [rows, columns] by places, around the edges, from what it was when this began. */
  move(name, [down, right], [rows, columns], offset = 0) {
    const before = this.past.at(-1)[name];
    const wrap = (value, n) => ((value % n) + n) % n;
    const n = rows * columns;
    this.put(
      name,
      before.map((value, i) => {
        const at = i - offset;
        if (at < 0 || at >= n) return value;
        const [row, column] = [
          wrap(Math.floor(at / columns) - down, rows),
          wrap((at % columns) - right, columns),
        ];
        return before[offset + row * columns + column];
      }),
    );
  }

  put(name, values) {
    const kept = values.map((value) => Math.min(Math.max(value, 0), 1));
    this.now[name] = this.sharedOut(kept);
  }

  /** Brings what shares out a sum to that sum, which the agent's own maps always have. */
  sharedOut(values) {
    if (!this.shared) return values;
    const { size, sum } = this.shared;
    const out = values.slice();
    for (let from = 0; from < values.length; from += size) {
      const total = values.subarray(from, from + size).reduce((a, b) => a + b, 0) / sum;
      if (total > 1e-12) for (let i = from; i < from + size; i++) out[i] = values[i] / total;
    }
    return out;
  }

  /** The agent's own map without what lies in a box of places [left, top, right, bottom). */
  withoutBox(name, [left, top, right, bottom]) {
    const { columns, values } = this.maps[name];
    const isIn = (row, column) => row >= top && row < bottom && column >= left && column < right;
    const kept = values.map((value, i) => (isIn(Math.floor(i / columns), i % columns) ? 0 : value));
    return this.sharedOut(kept);
  }

  /** Goes back to before the last change; returns whether there was one. */
  undo() {
    return this.go(this.past, this.future);
  }

  /** Makes the change again that was undone last; returns whether there was one. */
  redo() {
    return this.go(this.future, this.past);
  }

  go(from, to) {
    if (!from.length) return false;
    to.push(copy(this.now));
    this.now = from.pop();
    return true;
  }

  /** Back to the agent's own maps. */
  reset() {
    this.begin();
    this.now = copy(
      Object.fromEntries(Object.entries(this.maps).map(([name, { values }]) => [name, values])),
    );
  }
}

/**
 * How much of a stroke each place of a grid gets: all at its middle, less towards its edge.
 *
 * @param weights So far in this stroke; raised in place.
 * @param middle [row, column] of the brush, fractions included.
 * @param size Places across.
 */
export function dab(weights, [rows, columns], [row, column], size, offset = 0) {
  const radius = size / 2;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const distance = Math.hypot(y + 0.5 - row, x + 0.5 - column) / (radius + 0.35);
      const weight = distance < 1 ? Math.min(1, 1.6 * (1 - distance * distance)) : 0;
      const at = offset + y * columns + x;
      if (weight > weights[at]) weights[at] = weight;
    }
  }
}

/** Values as rows of numbers. */
export function rowsOf(values, columns) {
  return Array.from({ length: values.length / columns }, (_, row) => [
    ...values.subarray(row * columns, (row + 1) * columns),
  ]);
}

function copy(maps) {
  return Object.fromEntries(
    Object.entries(maps).map(([name, values]) => [name, Float32Array.from(values)]),
  );
}
