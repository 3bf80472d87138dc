// What is drawn over a map while it is edited: its places, the box, the brush.

import { boxOf } from "./picture.js";

/**
 * Draws them.
 *
 * @param context Of the canvas of lines. @param zoom CSS pixels a pixel of the screen.
 * @param map The MapView.
 * @param marks {box, cursor, brush}: the box in places or null, the middle of the brush
 *     [row, column] or null, and its size in places.
 */
export function drawEditMarks(context, zoom, map, { box, cursor, brush }) {
  drawPlaces(context, zoom, map);
  if (box) drawBox(context, zoom, map, box);
  if (cursor) drawBrush(context, zoom, map, cursor, brush);
}

function drawPlaces(context, zoom, map) {
  const [rows, columns] = map.grid;
  const [left, top, wide, tall] = boxOf([0, 0], map.grid, map.room).map((side) => side * zoom);
  context.strokeStyle = "rgb(255 255 255 / 0.16)";
  context.lineWidth = 1;
  context.beginPath();
  for (let row = 0; row <= rows; row++) {
    context.moveTo(left, top + row * tall);
    context.lineTo(left + columns * wide, top + row * tall);
  }
  for (let column = 0; column <= columns; column++) {
    context.moveTo(left + column * wide, top);
    context.lineTo(left + column * wide, top + rows * tall);
  }
  context.stroke();
}

function drawBox(context, zoom, map, box) {
  const [left, top] = boxOf([box[1], box[0]], map.grid, map.room);
  const [right, bottom] = boxOf([box[3], box[2]], map.grid, map.room);
  const sides = [left, top, right - left, bottom - top].map((side) => side * zoom);
  context.fillStyle = "rgb(255 60 60 / 0.18)";
  context.fillRect(...sides);
  context.setLineDash([6, 4]);
  context.strokeStyle = "#ff6b6b";
  context.lineWidth = 2;
  context.strokeRect(...sides);
  context.setLineDash([]);
}

function drawBrush(context, zoom, map, [row, column], brush) {
  const [, top, wide, tall] = boxOf([0, 0], map.grid, map.room).map((side) => side * zoom);
  const path = new Path2D();
  const [across, down] = [(brush / 2) * wide, (brush / 2) * tall];
  path.ellipse(column * wide, top + row * tall, across, down, 0, 0, 2 * Math.PI);
  context.strokeStyle = "rgb(0 0 0 / 0.8)";
  context.lineWidth = 4;
  context.stroke(path);
  context.strokeStyle = "#ffffff";
  context.lineWidth = 2;
  context.stroke(path);
}
