// The large picture of a layer: the screen with the map on it, its scale, values under the pointer.

import { colour, h, say, sharpCanvas } from "./dom.js";
import { mapValue, words } from "./format.js";
import { gridOf, rowOf, valuesOf } from "./layers.js";
import { barAt, barBoxes, drawBars } from "./bars.js";
import { agoText, Film, filmBoxes, stepAt } from "./film.js";
import { Legend } from "./legend.js";
import { lit } from "./light.js";
import { drawOutlines, objectsIn } from "./outlines.js";
import { boxOf, cellAt, Picture } from "./picture.js";
import { Pointing } from "./pointing.js";
import { rangeText, scaleOf, sharesOf } from "./scale.js";

export class MapView {
  /**
   * @param episode An Episode.
   * @param layers Of `layersOf`.
   * @param settings A Settings.
   * @param id Of the canvas with the pixels.
   */
  constructor(episode, layers, settings, id) {
    Object.assign(this, {
      episode,
      layers,
      settings,
      layer: layers[0] ?? null,
      shown: null,
      place: 0,
      marksAbove: null,
      chosenBar: null,
      barsTask: "",
    });
    /** Gives other maps to show, such as edited ones, as an episode's arrays have them, or null. */
    this.mapsInstead = () => null;
    this.picture = new Picture(
      id,
      "Screen of the game with the map on it",
      episode.height,
      episode.width,
      (context, zoom) => this.drawMarks(context, zoom),
    );
    this.bars = h("canvas.lines.bars", { role: "img", "aria-label": "Map as bars" });
    this.film = new Film(episode, () => this.paintBars());
    this.paintBars = sharpCanvas(this.bars, (...room) => this.shares && this.drawBars(...room));
    this.legend = new Legend();
    this.caption = h(
      "figcaption",
      {},
      (this.title = h("strong", {})),
      (this.range = h("span.range", {})),
    );
    this.readout = h("p.readout", { id: `${id}-readout` });
    this.hint = "Point at the picture for values.";
    this.picture.below.before(this.bars);
    if (this.layer) this.picture.below.append(this.legend.element);
    this.picture.below.append(this.readout);
    this.element = h("figure.mapview", {}, this.caption, this.picture.element);
    const pairwise = layers.find(({ form }) => form === "pairwise");
    if (pairwise) this.place = Math.floor(pairwise.rows / 2);
    this.pointing = new Pointing(this);
    for (const type of ["pointermove", "pointerdown"])
      this.picture.canvas.addEventListener(type, (event) => this.point(this.picture.pointAt(event)));
    this.picture.canvas.addEventListener("pointerleave", () => this.point(null));
    this.bars.addEventListener("pointermove", (event) => this.pointBar(event));
    this.bars.addEventListener("pointerleave", () => say(this.readout, this.hint));
    say(this.readout, this.hint);
  }

  get isBars() {
    return this.layer?.form === "bars" || this.layer?.form === "steps";
  }

  get grid() {
    return gridOf(this.layer, this.episode.meta);
  }

  get aspect() {
    return this.episode.width / this.episode.height;
  }

  get room() {
    const { height, width, meta } = this.episode;
    return { height, width, seenRows: meta.seen_rows };
  }

  /** Shows a step: {step, frame, arrays}. */
  show(shown) {
    this.shown = shown;
    this.refresh();
  }

  /** Draws the step that is shown again. */
  refresh() {
    const { shown, layer, settings, episode } = this;
    if (!shown) return;
    const { frame, step } = shown;
    const maps = this.mapsInstead();
    const arrays = (this.arrays = maps ? { ...shown.arrays, maps } : shown.arrays);
    this.objects = settings.hasLines ? objectsIn(frame, episode.meta.objects) : null;
    this.element.classList.toggle("as-bars", this.isBars);
    if (!layer) {
      say(this.title, "Screen");
      this.picture.show(frame, step);
      return;
    }
    const all = valuesOf(layer, arrays);
    this.values = layer.form === "pairwise" ? rowOf(layer, all, this.place) : all;
    if (!this.isEdited) this.pointing.offer(layer.form === "pairwise");
    const scale = scaleOf(layer, this.values, arrays, episode.meta, settings.scale);
    this.shares = sharesOf(this.values, scale);
    this.unit = episode.meta.map_scale === "even" && layer.kind === "map" ? " × even" : "";
    say(this.title, this.label);
    say(this.range, layer.form === "pairwise" ? "" : rangeText(this.values, this.unit));
    this.legend.update(scale);
    this.legend.element.classList.toggle("unused", !settings.isLit && !this.isBars);
    if (this.isBars) {
      this.bars.setAttribute("aria-label", this.barsTask || this.barsLabel);
      this.paintBars();
      this.picture.canvas.dataset.step = step;
    } else if (settings.isLit) {
      const options = { seenRows: episode.meta.seen_rows, opacity: settings.opacity };
      this.picture.show(lit(frame, this.shares, this.grid, options), step);
    } else {
      this.picture.show(frame, step);
    }
    this.picture.canvas.dataset.layer = layer.id;
    if (this.pointed) this.point(this.pointed);
  }

  /** What the picture shows: of a pairwise map, the place that looks. */
  get label() {
    const { layer, place } = this;
    if (layer.form !== "pairwise") return layer.label;
    const columns = this.grid[1];
    const from = `from this place (${Math.floor(place / columns)}, ${place % columns})`;
    return layer.nAveraged === 1 ? from.replace("from", "From") : `${layer.label} ${from}`;
  }

  get barsLabel() {
    if (this.layer.form !== "steps") return "Map as bars";
    const { length: n } = this.values;
    const most = this.values.indexOf(Math.max(...this.values));
    return `The last ${n} steps with what each gets of the attention; the most gets ${agoText(most, n)}`;
  }

  /** While it is edited, keys on the picture are the painter's. */
  get isEdited() {
    return this.marksAbove !== null;
  }

  /** Shows what a place [row, column] of a pairwise map looks at, and says it. */
  lookFrom([row, column]) {
    const [rows, columns] = this.grid;
    this.place = row * columns + column;
    const [left, top, wide, tall] = boxOf([row, column], [rows, columns], this.room);
    this.refresh();
    this.point([left + wide / 2, top + tall / 2]);
    this.onplace?.();
  }

  drawBars(context, width, height) {
    this.drawAllBars(context, width, height);
    if (this.chosenBar === null) return;
    const [left, top, wide, tall] = this.boxesOfBars(width, height)[this.chosenBar];
    context.strokeStyle = colour("--accent");
    context.lineWidth = 2;
    context.strokeRect(left + 1, top + 1, Math.max(wide - 2, 2), tall - 2);
  }

  /** Where the bars, or the screens of past steps with theirs, lie in a room. */
  boxesOfBars(width, height) {
    const { length: n } = this.values;
    return this.layer.form === "steps"
      ? filmBoxes(n, width, height, this.aspect)
      : barBoxes(n, width, height);
  }

  drawAllBars(context, width, height) {
    const { shares, layer, shown, arrays, values, unit } = this;
    if (layer.form !== "steps")
      return drawBars(context, shares, width, height, colour("--track"), colour("--warm"));
    let places = null;
    if (layer.placesAt) {
      const { nSummed, from, rows, factor } = layer;
      const stored = arrays.maps.subarray(from, from + rows * nSummed);
      const all = stored.map((value) => value * factor);
      const { meta } = this.episode;
      const scale = scaleOf({ ...layer, form: "spatial" }, all, arrays, meta, this.settings.scale);
      places = { shares: sharesOf(all, scale), grid: layer.placesAt };
    }
    return this.film.draw(context, width, height, { step: shown.step, values, shares, unit, places });
  }

  choose(layer) {
    this.layer = layer;
    this.refresh();
  }

  /** Chooses the next (+1) or previous (-1) layer. */
  next(by) {
    const { layers } = this;
    if (layers.length)
      this.choose(layers[(layers.indexOf(this.layer) + by + layers.length) % layers.length]);
  }

  drawMarks(context, zoom) {
    const { shown, settings, layer, episode } = this;
    if (!shown) return;
    if (this.objects) {
      const hues = settings.linesOf(episode.meta.objects);
      drawOutlines(context, this.objects, episode.width, hues, zoom);
    }
    if (layer && shown.arrays.glimpse !== undefined && !this.isBars)
      this.drawCell(context, zoom, shown.arrays.glimpse, "#ffffff");
    if (layer?.form === "pairwise") this.drawCell(context, zoom, this.place, "#7cff6b");
    this.marksAbove?.(context, zoom);
  }

  drawCell(context, zoom, place, line) {
    const [rows, columns] = this.grid;
    const box = boxOf(
      [Math.floor(place / columns), place % columns],
      [rows, columns],
      this.room,
    ).map((side) => side * zoom);
    context.strokeStyle = "rgb(0 0 0 / 0.8)";
    context.lineWidth = 4;
    context.strokeRect(...box);
    context.strokeStyle = line;
    context.lineWidth = 2;
    context.strokeRect(...box);
  }

  /** Says what is at a pixel; of pairwise maps shows what it attends to. */
  point(at) {
    this.pointed = at;
    if (!at || !this.shown) return say(this.readout, this.hint);
    const [x, y] = at.map(Math.floor);
    const parts = [`x ${x}, y ${y}`];
    const cell = this.layer && cellAt(at, this.grid, this.room);
    if (cell) {
      const [row, column] = cell;
      const place = row * this.grid[1] + column;
      if (this.layer.form === "pairwise" && place !== this.place && !this.isEdited) {
        this.place = place;
        this.refresh();
        this.onplace?.();
        return undefined;
      }
      parts.push(
        `row ${row}, column ${column}`,
        `value ${mapValue(this.values[place])}${this.unit}`,
      );
    } else if (this.layer) {
      parts.push("the agent does not see this row");
    }
    const { width, meta } = this.episode;
    const object = meta.objects[objectsIn(this.shown.frame, meta.objects)[y * width + x]];
    if (object) parts.push(words(object.name));
    return say(this.readout, parts.join(" · "));
  }

  /** The bar under an event, or -1, and how far along it the event is, 0..1. */
  barUnder({ offsetX: x, offsetY: y }) {
    const { clientWidth: width, clientHeight: height } = this.bars;
    const { length: n } = this.values;
    if (this.layer.form !== "steps") return [barAt(n, width, height, x, y), 1 - y / height];
    const boxes = this.boxesOfBars(width, height);
    const i = stepAt(boxes, x, y);
    return [i, i < 0 ? 0 : (x - boxes[i][0]) / boxes[i][2]];
  }

  pointBar(event) {
    this.sayBar(this.barUnder(event)[0]);
  }

  /** Says what a bar is worth; -1 is none. */
  sayBar(i) {
    const { length: n } = this.values;
    const isSteps = this.layer.form === "steps";
    const name = isSteps ? `step ${this.shown.step - n + 1 + i}, ${agoText(i, n)}` : `channel ${i}`;
    say(
      this.readout,
      i < 0 ? this.hint : `${name} · value ${mapValue(this.values[i])}${this.unit}`,
    );
  }
}
