// What if the agent looked elsewhere: edit its maps at a step, and see what it would do.

import { h } from "./dom.js";
import { AnswerPanel } from "./answerpanel.js";
import { EditPanel } from "./editpanel.js";
import { MapEdit, rowsOf } from "./edits.js";
import { Futures } from "./futures.js";

const PAUSE_MS = 40;
const LONG_MS = 500;

export class WhatIf {
  /** @param viewer The Viewer that this belongs to. */
  constructor(viewer) {
    const { episode, map } = viewer;
    Object.assign(this, { viewer, episode, map, isOpen: false, intervention: null });
    this.kept = new Map(); // edits by step
    this.layers = viewer.layers.filter(({ kind, isStored }) => kind === "map" && isStored);
    this.panel = new EditPanel(this, this.layers);
    this.painter = this.panel.painter;
    this.answers = new AnswerPanel(episode.meta);
    this.futures = episode.meta.kind ? null : new Futures(this);
    this.element = h(
      "section.what-if",
      { "aria-label": "What if", hidden: true },
      this.panel.element,
      this.answers.element,
      this.futures?.element,
    );
    this.painter.isBoxed = () => this.isBoxed;
    map.mapsInstead = () => this.editedMaps();
  }

  keys() {
    const whenOpen = (action) => () => this.isOpen && action();
    const tool = (number) => whenOpen(() => this.panel.chooseNumber(number));
    return {
      ...{ 1: tool(1), 2: tool(2), 3: tool(3), 4: tool(4) },
      p: () => {
        if (this.isOpen && this.map.isBars) this.map.bars.focus();
        else if (this.isOpen || this.map.pointing.isOffered) this.painter.surface.focus();
      },
      i: whenOpen(() => this.whole("invert")),
      u: whenOpen(() => this.whole("flatten")),
      "Control+z": whenOpen(() => this.undo()),
      "Control+y": whenOpen(() => this.redo()),
      "Control+Z": whenOpen(() => this.redo()),
    };
  }

  /** Opens or closes the panel; returns whether it is open. */
  toggle() {
    this.isOpen = !this.isOpen;
    this.element.hidden = !this.isOpen;
    if (this.layers.length) this.painter.turn(this.isOpen);
    this.map.hint = this.hint();
    if (this.isOpen) {
      const [first] = this.layers;
      if (first && !this.layers.includes(this.map.layer)) this.viewer.choose(first);
      this.moveTo(this.viewer.shown);
      this.element.querySelector("input")?.focus({ preventScroll: true });
    }
    this.map.point(null);
    return this.isOpen;
  }

  hint() {
    if (!this.isOpen || !this.layers.length) return "Point at the picture for values.";
    if (this.map.isBars) return "Drag the bars, or press p and use arrows.";
    return this.map.layer.form === "pairwise"
      ? "Paint where the outlined place looks; with Shift a click chooses another place."
      : "Paint, or press p and use arrows and Space.";
  }

  /** Goes to a step; edits that were made there before are found again. */
  moveTo(shown) {
    if (!this.isOpen || !shown) return;
    this.shown = shown;
    if (!this.kept.has(shown.step)) this.kept.set(shown.step, this.begin(shown.arrays));
    this.painter.edit = this.edit = this.kept.get(shown.step);
    this.answer = null;
    this.edited();
  }

  begin(arrays) {
    const { meta } = this.episode;
    const [, rows, columns] = meta.arrays.maps.shape;
    const size = rows * columns;
    const maps = {};
    meta.map_names.forEach((name, i) => {
      maps[name] = { rows, columns, values: arrays.maps.slice(i * size, (i + 1) * size) };
    });
    return new MapEdit(maps, meta.map_factor === 1 ? null : this.sharedBy(size, columns));
  }

  /** What shares out a sum in a map: each place of a pairwise one, each head, hop or glimpse. */
  sharedBy(size, columns) {
    if (this.episode.meta.map_kind === "pairwise") return { size: columns, sum: 1 };
    const [first] = this.layers;
    const n = first ? size / (first.rows * first.columns) : 1;
    return { size: size / n, sum: 1 / n };
  }

  /** All maps as they are edited, as an episode's arrays have them; null where nothing is. */
  editedMaps() {
    if (!this.isOpen || !this.edit) return null;
    const all = Float32Array.from(this.shown.arrays.maps);
    const names = this.episode.meta.map_names;
    names.forEach((name, i) => all.set(this.editedMap(name), (i * all.length) / names.length));
    return all;
  }

  editedMap(name) {
    const acted = this.intervention && this.answer?.maps?.[name];
    if (acted) return Float32Array.from(acted.flat());
    return this.isBoxed ? this.edit.withoutBox(name, this.painter.box) : this.edit.now[name];
  }

  /** Whether it is asked what a box does in which the agent never looks. */
  get isBoxed() {
    return this.futures?.isOfBox && this.painter.box !== null && !this.intervention;
  }

  /** The map has been edited, or the box: that is what the agent acts on now. */
  painted(isBox) {
    this.futures?.choose(isBox ? "box" : "map");
    this.replaceBy(null);
  }

  /** Changes the whole map: "invert" or "flatten". */
  whole(change) {
    const { kind, name, isStored } = this.map.layer;
    if (kind !== "map" || !this.layers.length) return;
    // A mean of several heads is none of them: all are changed.
    this.edit[change](name, isStored ? this.painter.range : [0, this.edit.now[name].length]);
    this.painted(false);
    this.map.refresh();
  }

  reset() {
    this.edit.reset();
    this.painter.box = null;
    this.replaceBy(null);
    this.map.refresh();
  }

  undo() {
    if (!this.edit.undo()) return;
    this.painted(false);
    this.map.refresh();
  }

  redo() {
    if (!this.edit.redo()) return;
    this.painted(false);
    this.map.refresh();
  }

  /** Lets an intervention replace the map; null is the painted one. */
  replaceBy(name) {
    this.intervention = name;
    if (this.panel.instead) this.panel.instead.value = name ?? "";
    if (name) this.futures?.choose("map");
    this.edited();
  }

  /** The edits of all steps, as the server keeps them. */
  items() {
    const changed = [...this.kept].filter(([, edit]) => edit.changed.length);
    return changed.map(([step, edit]) => ({ step, map: edit.painted }));
  }

  /** The map has changed: asks the agent, once the hand rests. */
  edited() {
    this.panel.update(this.edit, this.map.layer);
    this.futures?.update();
    this.element.setAttribute("aria-busy", "true");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask(), PAUSE_MS);
  }

  /** The edit as the server takes it; empty where nothing is changed. */
  get question() {
    if (this.intervention) return { intervention: this.intervention };
    if (this.isBoxed) {
      const { box } = this.painter;
      const { map_names: names, arrays } = this.episode.meta;
      const rows = (name) => rowsOf(this.edit.withoutBox(name, box), arrays.maps.shape[2]);
      return { map: Object.fromEntries(names.map((name) => [name, rows(name)])) };
    }
    const { painted } = this.edit;
    return painted ? { map: painted } : {};
  }

  async ask() {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.waiting = null;
    const { question, shown } = this;
    const isEdited = Object.keys(question).length > 0;
    const late = setTimeout(() => this.answers.note("Asking the agent…"), LONG_MS);
    try {
      const asked = { step: shown.step, ...question };
      const answer = await this.episode.source.ask(asked, asking.signal);
      if (asking !== this.asking) return;
      this.answer = answer;
      this.answers.show(answer, isEdited, shown.arrays.action);
      if (this.intervention) this.map.refresh();
    } catch (error) {
      if (error.name !== "AbortError") this.answers.note(error.message);
    } finally {
      clearTimeout(late);
    }
    if (asking === this.asking && !this.waiting) this.element.removeAttribute("aria-busy");
  }
}
