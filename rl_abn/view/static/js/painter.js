// Pointer and keys on the large map while it is edited.

import { BarKeys } from "./barkeys.js";
import { dab } from "./edits.js";
import { MOST_TIMES_EVEN } from "./scale.js";
import { drawEditMarks } from "./paintmarks.js";
import { boxOf } from "./picture.js";

const TOOLS = [
  ["add", "Add"],
  ["remove", "Remove"],
  ["move", "Move"],
  ["box", "Box"],
];

/**
 * The tools for a form of map: bars are dragged, and a box is of places on the screen.
 *
 * @param hasBox Whether there is a game in which the agent can be kept from looking in a box.
 */
export function toolsFor(form, hasBox) {
  if (form === "bars" || form === "steps") return [];
  return form === "spatial" && hasBox ? TOOLS : TOOLS.slice(0, 3);
}

export class Painter {
  /**
   * @param map A MapView. @param tool What is set: {name, size, strength}.
   * @param onchange Called after a change, with whether it was the box and not the map.
   */
  constructor(map, tool, onchange) {
    Object.assign(this, {
      map,
      tool,
      onchange,
      edit: null,
      box: null,
      cursor: null,
      isOn: false,
      isBoxed: () => false,
    });
    this.surface = map.picture.lines;
    this.barKeys = new BarKeys(this);
    for (const [type, listener] of Object.entries({
      pointerdown: this.down,
      pointermove: this.hover,
      pointerleave: this.leave,
      keydown: this.key,
      blur: this.leave,
    })) {
      this.surface.addEventListener(type, listener.bind(this));
      if (type.startsWith("pointer")) map.bars.addEventListener(type, listener.bind(this));
    }
  }

  turn(isOn) {
    this.isOn = isOn;
    this.barKeys.turn(isOn);
    const { surface } = this;
    if (isOn) {
      surface.tabIndex = 0;
      surface.setAttribute("role", "application");
      surface.setAttribute(
        "aria-label",
        "Map to edit: arrows choose a place, Enter or Space uses the tool there",
      );
      surface.removeAttribute("aria-hidden");
    } else {
      this.map.pointing.isOffered = false;
      surface.removeAttribute("tabindex");
      surface.removeAttribute("role");
      surface.removeAttribute("aria-label");
      surface.setAttribute("aria-hidden", "true");
    }
    this.map.element.classList.toggle("painting", isOn);
    this.map.marksAbove = isOn ? (context, zoom) => this.draw(context, zoom) : null;
  }

  /** Where in its map what is shown begins: of a pairwise map, the row of the place that looks. */
  get offset() {
    const { layer, place } = this.map;
    return layer.offset + (layer.form === "pairwise" ? place * layer.columns : 0);
  }

  /** What is shown of its map, [from, end). */
  get range() {
    const { layer } = this.map;
    const n = layer.form === "pairwise" ? layer.columns : layer.rows * layer.columns;
    return [this.offset, this.offset + n];
  }

  /** The value at the end of the fixed scale, in stored units. */
  get whole() {
    const { factor } = this.map.layer;
    return factor === 1 ? 1 : MOST_TIMES_EVEN / factor;
  }

  /** The amount that one full dab adds, in stored units. */
  get amount() {
    return (this.tool.name === "remove" ? -1 : 1) * this.tool.strength * this.whole;
  }

  /** The place under an event in map cells, [row, column] with fractions; clamped to the map. */
  cellOf(event) {
    const { map } = this;
    const box = map.picture.canvas.getBoundingClientRect();
    const [rows, columns] = map.grid;
    const { height, width, seenRows } = map.room;
    const [top, end] = seenRows ?? [0, height];
    const y = ((event.clientY - box.top) / box.height) * height;
    const x = ((event.clientX - box.left) / box.width) * width;
    const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1e-6);
    return [clamp(((y - top) / (end - top)) * rows, rows), clamp((x / width) * columns, columns)];
  }

  down(event) {
    if (!this.isOn || !this.map.layer.isStored || event.button !== 0) return;
    event.preventDefault();
    const { map, tool, edit } = this;
    if (map.layer.form === "pairwise" && event.shiftKey) {
      map.lookFrom(this.cellOf(event).map(Math.floor));
      return;
    }
    const target = event.currentTarget;
    target.setPointerCapture(event.pointerId);
    target.focus({ focusVisible: false });
    const drag = map.isBars ? this.setBars() : this.stroke(tool.name, this.cellOf(event), edit);
    const move = (next) => {
      drag(next);
      this.map.refresh();
    };
    move(event);
    target.addEventListener("pointermove", move);
    const stop = () => target.removeEventListener("pointermove", move);
    target.addEventListener("pointerup", stop, { once: true });
    target.addEventListener("pointercancel", stop, { once: true });
  }

  /** Begins a stroke; what it returns goes on with it at an event. */
  stroke(name, start, edit) {
    const { map, tool } = this;
    const { name: mapName } = map.layer;
    const { grid } = map;
    if (name === "box") {
      return (event) => {
        this.setBox(start, this.cellOf(event));
        this.onchange(true);
      };
    }
    edit.begin();
    if (name === "move") {
      return (event) => {
        const at = this.cellOf(event);
        edit.move(
          mapName,
          [Math.round(at[0] - start[0]), Math.round(at[1] - start[1])],
          grid,
          this.offset,
        );
        this.onchange(false);
      };
    }
    const weights = new Float32Array(edit.now[mapName].length);
    let last = start;
    return (event) => {
      const at = this.cellOf(event);
      const n = Math.max(1, Math.ceil(2 * Math.hypot(at[0] - last[0], at[1] - last[1])));
      for (let i = 1; i <= n; i++)
        dab(
          weights,
          grid,
          last.map((side, k) => side + (i / n) * (at[k] - side)),
          tool.size,
          this.offset,
        );
      last = at;
      this.cursor = at;
      edit.stroke(mapName, weights, this.amount);
      this.onchange();
    };
  }

  /** Bars are set to where the pointer is: channels' stand, those of past steps lie. */
  setBars() {
    const { map, edit } = this;
    edit.begin();
    return (event) => {
      const [i, share] = map.barUnder(event);
      if (i < 0) return;
      const at = this.offset + i;
      edit.each(map.layer.name, () => share * this.whole, [at, at + 1]);
      this.onchange();
    };
  }

  setBox(from, to) {
    const [top, left] = [
      Math.floor(Math.min(from[0], to[0])),
      Math.floor(Math.min(from[1], to[1])),
    ];
    const [bottom, right] = [
      Math.floor(Math.max(from[0], to[0])) + 1,
      Math.floor(Math.max(from[1], to[1])) + 1,
    ];
    this.box = [left, top, right, bottom];
  }

  hover(event) {
    if (this.map.isBars) return;
    if (event.currentTarget === this.surface) this.map.point(this.map.picture.pointAt(event));
    if (!this.isOn) return;
    this.cursor = this.cellOf(event);
    this.map.picture.drawLines();
  }

  leave() {
    this.cursor = null;
    this.map.point(null);
    this.map.picture.drawLines();
  }

  key(event) {
    if (!this.isOn || !this.map.layer.isStored) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const by = moves[event.key];
    const [rows, columns] = this.map.grid;
    const at = this.cursor ?? [Math.floor(rows / 2) + 0.5, Math.floor(columns / 2) + 0.5];
    if (by) {
      const next = [at[0] + by[0], at[1] + by[1]];
      const isInside = next[0] >= 0 && next[0] < rows && next[1] >= 0 && next[1] < columns;
      if (this.tool.name === "move") this.nudge(by);
      else if (this.tool.name === "box" && event.shiftKey && this.box)
        this.stretch(by, [rows, columns]);
      if (isInside && this.tool.name !== "move")
        this.cursor = [Math.floor(next[0]) + 0.5, Math.floor(next[1]) + 0.5];
    } else if (event.key === " " || event.key === "Enter") {
      this.useAt(at);
    } else return;
    event.preventDefault();
    const cell = this.cursor && Math.floor(this.cursor[0]) * columns + Math.floor(this.cursor[1]);
    if (cell !== null) this.map.point(this.middleOf(this.cursor));
    this.map.refresh();
  }

  /** The tool at one place, by key. */
  useAt(at) {
    const { map, tool, edit } = this;
    this.cursor = at;
    if (tool.name === "box") this.setBox(at, at);
    else if (tool.name !== "move") {
      edit.begin();
      const weights = new Float32Array(edit.now[map.layer.name].length);
      dab(weights, map.grid, at, tool.size, this.offset);
      edit.stroke(map.layer.name, weights, this.amount);
    }
    this.onchange(tool.name === "box");
  }

  nudge(by) {
    this.edit.begin();
    this.edit.move(this.map.layer.name, by, this.map.grid, this.offset);
    this.onchange();
  }

  stretch([down, right], [rows, columns]) {
    const [left, top, end, bottom] = this.box;
    this.box = [
      left,
      top,
      Math.min(Math.max(end + right, left + 1), columns),
      Math.min(Math.max(bottom + down, top + 1), rows),
    ];
    this.onchange(true);
  }

  middleOf([row, column]) {
    const [left, top, wide, tall] = boxOf(
      [Math.floor(row), Math.floor(column)],
      this.map.grid,
      this.map.room,
    );
    return [left + wide / 2, top + tall / 2];
  }

  draw(context, zoom) {
    const { map, cursor, tool } = this;
    if (!map.layer || map.isBars) return;
    const isRound = tool.name === "add" || tool.name === "remove";
    const box = this.isBoxed() ? this.box : null;
    drawEditMarks(context, zoom, map, { box, cursor, brush: isRound ? tool.size : 1 });
  }
}
