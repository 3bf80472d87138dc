// The objects of a game, found by their colours, and lines around them.

const HUES = [
  "#ffd34d",
  "#4dd2ff",
  "#ff7ab8",
  "#8dff6a",
  "#ff9a4d",
  "#b79bff",
  "#5dffd0",
  "#ff6b6b",
];

/** A line's colour for each object, by its place among all that a page names. */
export function hueOf(index) {
  return HUES[index % HUES.length];
}

/**
 * Which object each pixel belongs to: Int8Array [height x width], -1 where to none. Of objects that
 * share a colour, the first whose rows and columns hold the pixel counts.
 */
export function objectsIn(frame, objects) {
  const { width, height, data } = frame;
  const found = new Int8Array(width * height).fill(-1);
  const byColour = new Map();
  objects.forEach((object, index) => {
    for (const [red, green, blue] of object.colours) {
      const key = (red << 16) | (green << 8) | blue;
      byColour.set(key, [...(byColour.get(key) ?? []), index]);
    }
  });
  for (let i = 0; i < found.length; i++) {
    const candidates = byColour.get((data[4 * i] << 16) | (data[4 * i + 1] << 8) | data[4 * i + 2]);
    if (!candidates) continue;
    const [y, x] = [Math.floor(i / width), i % width];
    for (const index of candidates) {
      const { rows, columns } = objects[index];
      if (rows && (y < rows[0] || y >= rows[1])) continue;
      if (columns && (x < columns[0] || x >= columns[1])) continue;
      found[i] = index;
      break;
    }
  }
  return found;
}

/**
 * Draws lines around objects; `zoom` is pixels a pixel.
 *
 * @param hues A line's colour for each object, null for none: of Settings.linesOf.
 */
export function drawOutlines(context, found, width, hues, zoom) {
  const height = found.length / width;
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? -1 : found[y * width + x]);
  for (const [index, hue] of hues.entries()) {
    if (!hue) continue;
    const path = new Path2D();
    for (let i = 0; i < found.length; i++) {
      if (found[i] !== index) continue;
      const [x, y] = [i % width, Math.floor(i / width)];
      const line = (x0, y0, x1, y1) => {
        path.moveTo(x0 * zoom, y0 * zoom);
        path.lineTo(x1 * zoom, y1 * zoom);
      };
      if (at(x, y - 1) !== index) line(x, y, x + 1, y);
      if (at(x, y + 1) !== index) line(x, y + 1, x + 1, y + 1);
      if (at(x - 1, y) !== index) line(x, y, x, y + 1);
      if (at(x + 1, y) !== index) line(x + 1, y, x + 1, y + 1);
    }
    context.lineCap = "square";
    context.strokeStyle = "rgb(0 0 0 / 0.75)";
    context.lineWidth = 3.5;
    context.stroke(path);
    context.strokeStyle = hue;
    context.lineWidth = 1.5;
    context.stroke(path);
  }
}
