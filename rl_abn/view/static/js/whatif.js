// What if the agent looked elsewhere: edit its maps at a step, and see what it would do.

import { choice, fill, h, say } from "./dom.js";
import { number, signed, words } from "./format.js";
import { Futures } from "./futures.js";
import { MapEdit, rowsOf } from "./edits.js";
import { Painter, toolbox, toolsFor } from "./painter.js";
import { Probabilities } from "./side.js";

const PAUSE_MS = 40;

export class WhatIf {
  /** @param viewer The Viewer that this belongs to. */
  constructor(viewer) {
    Object.assign(this, { viewer, episode: viewer.episode, map: viewer.map, isOpen: false, kept: new Map(), intervention: null });
    this.tool = { name: "add", size: 3, strength: 1 };
    this.painter = new Painter(this.map, this.tool, (isBox) => {
      this.futures.what.value = isBox ? "box" : "map";
      this.replaceBy(null);
    });
    this.table = new Probabilities(this.episode.meta.action_names, [{ label: "own", tone: "acting" }, { label: "edited", tone: "edited" }]);
    this.value = h("dd", { id: "what-if-value" });
    this.kl = h("dd", { id: "what-if-kl" });
    this.said = h("p.said", { role: "status", id: "what-if-said" });
    this.futures = new Futures(this);
    this.element = h("section.what-if", { "aria-label": "What if", hidden: true }, this.editPanel(), this.answerPanel(), this.futures.element);
    this.painter.isBoxed = () => this.isBoxed;
    this.map.valuesInstead = (layer) => this.valuesOf(layer);
  }

  editPanel() {
    const button = (text, onclick, id, title) => h("button", { type: "button", id, onclick, title }, text);
    const { form } = this.mapLayers[0];
    this.toolNames = toolsFor(form);
    this.tools = choice("Tool", this.toolNames, this.tool.name, (name) => { this.tool.name = name; });
    const tools = this.toolNames.length ? [this.tools, toolbox(this.tool, () => this.map.picture.drawLines())]
      : h("p.note", {}, "Drag the bars to their new heights.");
    this.mapChoice = this.mapLayers.length > 1
      ? choice("Map to edit", this.mapLayers.map((layer) => [layer.id, layer.label]), this.mapLayers[0].id,
        (id) => this.viewer.choose(this.mapLayers.find((layer) => layer.id === id))) : null;
    const { interventions = [] } = this.episode.meta;
    this.instead = h("select", { id: "instead", onchange: () => this.replaceBy(this.instead.value || null) },
      h("option", { value: "" }, "the painted map"), interventions.map((name) => h("option", { value: name }, words(name).replace(":", ": "))));
    this.name = h("input", { id: "edits-name", value: "edits", maxlength: 60, "aria-label": "Name of the set" });
    this.savedNote = h("div.saved", { role: "status" });
    return h("div.panel.edit", {}, h("h2", {}, "1 · Edit the map"), this.mapChoice, tools,
      h("div.buttons", {}, button("Invert", () => this.whole("invert"), "invert", "1 − map"), button("Flatten", () => this.whole("flatten"), "flatten", "its mean everywhere"),
        this.undoButton = button("Undo", () => this.undo(), "undo"), this.redoButton = button("Redo", () => this.redo(), "redo"),
        button("Reset", () => this.whole("reset"), "reset", "the agent's own map")),
      interventions.length ? h("label.field", {}, "Act on", this.instead) : null,
      h("h2", {}, "Keep this edit"),
      h("div.buttons", {}, this.name, button("Save to the set", () => this.save(), "save-edit", "as training targets for `rl-abn train --edits`")),
      this.savedNote);
  }

  answerPanel() {
    return h("div.panel.answer", {}, h("h2", {}, "2 · What it would do"), this.table.element,
      h("dl.numbers.wide", {}, h("div", {}, h("dt", {}, "Value"), this.value), h("div", {}, h("dt", {}, "KL, its own policy to the edited one"), this.kl)), this.said);
  }

  get mapLayers() {
    return this.viewer.layers.filter(({ kind }) => kind === "map");
  }

  keys() {
    const tool = (i) => () => {
      if (!this.isOpen || !this.toolNames[i]) return;
      [this.tool.name] = this.toolNames[i];
      this.tools.choose(this.tool.name);
    };
    const whenOpen = (action) => () => this.isOpen && action();
    return {
      1: tool(0), 2: tool(1), 3: tool(2), 4: tool(3), p: whenOpen(() => this.painter.surface.focus()),
      "Control+z": whenOpen(() => this.undo()), "Control+y": whenOpen(() => this.redo()), "Control+Z": whenOpen(() => this.redo()),
      i: whenOpen(() => this.whole("invert")), u: whenOpen(() => this.whole("flatten")),
    };
  }

  /** Opens or closes the panel; returns whether it is open. */
  toggle() {
    this.isOpen = !this.isOpen;
    this.element.hidden = !this.isOpen;
    this.painter.turn(this.isOpen);
    this.map.hint = !this.isOpen ? "Point at the picture for values." : this.map.isBars ? "Drag the bars." : "Paint on the map, or press p and use arrows and Space.";
    if (this.isOpen) {
      if (this.map.layer.kind !== "map") this.viewer.choose(this.mapLayers[0]);
      this.moveTo(this.viewer.shown);
      this.element.querySelector("input")?.focus({ preventScroll: true });
    }
    this.map.point(null);
    return this.isOpen;
  }

  /** Goes to a step; edits that were made there before are found again. */
  moveTo(shown) {
    if (!this.isOpen || !shown) return;
    this.step = shown.step;
    this.shown = shown;
    if (!this.kept.has(shown.step)) this.kept.set(shown.step, this.begin(shown.arrays));
    this.painter.edit = this.edit = this.kept.get(shown.step);
    this.answer = null;
    this.edited();
  }

  begin(arrays) {
    const { meta } = this.episode;
    const maps = {};
    for (const { name, rows, columns, index } of this.mapLayers) {
      const size = rows * columns;
      maps[name] = { rows, columns, values: arrays.maps.slice(index * size, (index + 1) * size) };
    }
    return new MapEdit(maps, meta.map_factor !== 1, meta.map_kind === "pairwise");
  }

  /** What the large picture shows of a layer: the edited map. */
  valuesOf(layer) {
    if (!this.isOpen || layer.kind !== "map" || !this.edit) return null;
    const acted = this.intervention && this.answer?.maps?.[layer.name];
    const values = acted ? Float32Array.from(acted.flat()) : this.isBoxed ? this.boxed(layer) : this.edit.now[layer.name];
    return values.map((value) => value * layer.factor);
  }

  /** Whether it is asked what a box does in which the agent never looks. */
  get isBoxed() {
    return this.futures.what.value === "box" && this.painter.box !== null && !this.intervention;
  }

  /** The agent's own map without what lies in the box. */
  boxed({ name, rows, columns }) {
    const [left, top, right, bottom] = this.painter.box;
    const { values } = this.edit.maps[name];
    const isOut = (i) => i % columns < left || i % columns >= right || Math.floor(i / columns) < top || Math.floor(i / columns) >= bottom;
    const kept = values.map((value, i) => (isOut(i) ? value : 0));
    return this.edit.sumsToOne && rows > 1 ? this.edit.shared(kept, columns) : kept;
  }

  whole(change) {
    const { layer, place } = this.map;
    const row = layer.form === "pairwise" ? place : null;
    if (change === "reset") {
      this.edit.reset();
      this.painter.box = null;
    } else this.edit[change](layer.name, row);
    this.edited();
    this.map.refresh();
  }

  undo() {
    this.edit.undo();
    this.edited();
    this.map.refresh();
  }

  redo() {
    this.edit.redo();
    this.edited();
    this.map.refresh();
  }

  replaceBy(name) {
    this.intervention = name;
    this.instead.value = name ?? "";
    if (name) this.futures.what.value = "map";
    this.edited();
  }

  /** The map has changed: asks the agent, once the hand rests. */
  edited() {
    this.undoButton.disabled = !this.edit.past.length;
    this.redoButton.disabled = !this.edit.future.length;
    this.mapChoice?.choose(this.map.layer.id);
    this.futures.update();
    this.element.setAttribute("aria-busy", "true");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask(), PAUSE_MS);
  }

  /** The edit as the server takes it; empty where nothing is changed. */
  get question() {
    if (this.intervention) return { intervention: this.intervention };
    if (this.isBoxed) {
      return { map: Object.fromEntries(this.mapLayers.map((layer) => [layer.name, rowsOf(this.boxed(layer), layer.columns)])) };
    }
    const { painted } = this.edit;
    return painted ? { map: painted } : {};
  }

  async ask() {
    this.asking?.abort();
    const asking = this.asking = new AbortController();
    const { step, question } = this;
    const isEdited = Object.keys(question).length > 0;
    this.waiting = null;
    try {
      const answer = await this.episode.source.ask({ step, ...question }, asking.signal);
      if (asking !== this.asking) return;
      this.answer = answer;
      this.show(answer, isEdited);
      if (this.intervention) this.map.refresh();
    } catch (error) {
      if (error.name !== "AbortError") say(this.said, error.message);
    }
    if (asking === this.asking && !this.waiting) this.element.removeAttribute("aria-busy");
  }

  show(answer, isEdited) {
    const { own } = answer;
    this.table.update([own.probabilities, isEdited ? answer.probabilities : null], this.shown.arrays.action);
    say(this.value, !isEdited ? number(own.value) : answer.value === own.value ? `${number(own.value)} (the same)`
      : `${number(own.value)} → ${number(answer.value)} (${signed(answer.value - own.value)})`);
    say(this.kl, isEdited ? `${number(answer.kl)} nats` : "–");
    const names = this.episode.meta.action_names;
    const [before, after] = [own.probabilities, answer.probabilities].map((p) => names[p.indexOf(Math.max(...p))]);
    say(this.said, !isEdited ? "Nothing is edited yet: this is what it did."
      : before === after ? `It would still prefer ${before}.` : `It would prefer ${after} to ${before}.`);
  }

  async save() {
    const items = [...this.kept].filter(([, edit]) => edit.changed.length).map(([step, edit]) => ({ step, map: edit.painted }));
    if (!items.length) return fill(this.savedNote, "Paint on the map first.");
    try {
      const { saved, command } = await this.episode.source.saveEdits({ name: this.name.value, items });
      const copy = h("button", { type: "button", onclick: () => navigator.clipboard?.writeText(command) }, "Copy");
      const said = h("p", {}, `${items.length} ${items.length === 1 ? "edit" : "edits"} in ${saved}`);
      return fill(this.savedNote, said, command && [h("p.note", {}, "Train the agent towards them:"), h("code", { id: "next-command" }, command), copy]);
    } catch (error) {
      return fill(this.savedNote, error.message);
    }
  }
}
