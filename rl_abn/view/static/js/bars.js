// Maps without a place on the screen, weights of channels or of steps of the past, as bars.

const GAP = 6;
const LEAST_PITCH = 4;

/** Where each of n bars lies in a room of width x height, as [left, top, width, height]. */
export function barBoxes(n, width, height) {
  const rows = Math.max(1, Math.ceil((n * LEAST_PITCH) / width));
  const perRow = Math.ceil(n / rows);
  const room = (height - GAP * (rows + 1)) / rows;
  return Array.from({ length: n }, (_, i) => {
    const [row, column] = [Math.floor(i / perRow), i % perRow];
    const left = (column * width) / perRow;
    return [left, GAP + row * (room + GAP), width / perRow - 1, room];
  });
}

/** Draws one bar a share of 0..1. */
export function drawBars(context, shares, width, height, track, bar) {
  barBoxes(shares.length, width, height).forEach(([left, top, wide, room], i) => {
    context.fillStyle = track;
    context.fillRect(left, top, wide, room);
    context.fillStyle = bar;
    context.fillRect(left, top + room * (1 - shares[i]), wide, room * shares[i]);
  });
}

/** The bar at a point, or -1. */
export function barAt(n, width, height, x, y) {
  return barBoxes(n, width, height).findIndex(
    ([left, top, wide, room]) => x >= left && x <= left + wide + 1 && y >= top && y <= top + room,
  );
}
