// The panel with the tools that edit a map, and the set that edits are kept in.

import { choice, fill, h } from "./dom.js";
import { words } from "./format.js";
import { Painter, toolsFor } from "./painter.js";

export class EditPanel {
  /**
   * @param whatIf The WhatIf that this belongs to; its methods are what the buttons do.
   * @param layers The maps that can be edited; where there are none, they can be replaced whole.
   */
  constructor(whatIf, layers) {
    Object.assign(this, { whatIf, layers, tool: { name: "add", size: 3, strength: 1 } });
    this.toolNames = layers.length ? toolsFor(layers[0].form, !whatIf.episode.meta.kind) : [];
    this.tools = choice("Tool", this.toolNames, this.tool.name, (name) => this.choose(name));
    this.painter = new Painter(whatIf.map, this.tool, (isBox) => whatIf.painted(isBox));
    this.instead = this.insteadField();
    const { meta } = whatIf.episode;
    const buttons = this.buttons();
    const canSave = layers.length && (meta.map_kind ?? "spatial") === "spatial";
    this.element = h(
      "div.panel.edit",
      {},
      h("h2", {}, layers.length ? "1 · Edit the map" : "1 · Replace the map"),
      layers.length ? [this.mapField(), this.toolFields(), buttons] : null,
      this.instead && h("label.field", {}, "Act on", this.instead),
      canSave
        ? [
            h("h2", {}, "Keep this edit"),
            meta.can_save === false
              ? h("p.note", {}, "Held-out pictures are not trained on: edit those it learned from.")
              : this.saving(),
          ]
        : null,
    );
  }

  /** The choice of the map to edit, where there are several. */
  mapField() {
    const { layers, whatIf } = this;
    if (layers.length < 2) return null;
    const onchoose = (id) => whatIf.viewer.choose(layers.find((layer) => layer.id === id));
    if (layers.length < 4) {
      const choices = layers.map(({ id, label }) => [id, label]);
      this.maps = choice("Map to edit", choices, layers[0].id, onchoose);
      return this.maps;
    }
    const options = layers.map(({ id, label }) => h("option", { value: id }, label));
    const select = h("select", { onchange: () => onchoose(select.value) }, options);
    this.maps = { choose: (id) => Object.assign(select, { value: id }) };
    return h("label.field", {}, "Map to edit", select);
  }

  toolFields() {
    if (!this.toolNames.length) {
      const bars = this.layers[0].form === "steps" ? "lengths" : "heights";
      return h("p.note", {}, `Drag the bars to their new ${bars}.`);
    }
    const { tool } = this;
    const redraw = () => this.whatIf.map.picture.drawLines();
    const size = slider("brush-size", "Size", [1, 7, 1], tool.size, (value) => {
      tool.size = value;
      redraw();
      return `${value} ${value === 1 ? "cell" : "cells"}`;
    });
    const strength = slider("brush-strength", "Strength", [5, 100, 5], 100, (value) => {
      tool.strength = value / 100;
      return `${value}%`;
    });
    return [this.tools, size, strength];
  }

  buttons() {
    const { whatIf } = this;
    const button = (text, id, onclick, title) =>
      h("button", { type: "button", id, onclick, title }, text);
    this.undo = button("Undo", "undo", () => whatIf.undo());
    this.redo = button("Redo", "redo", () => whatIf.redo());
    return h(
      "div.buttons",
      {},
      button("Invert", "invert", () => whatIf.whole("invert"), "1 − map"),
      button("Flatten", "flatten", () => whatIf.whole("flatten"), "its mean everywhere"),
      this.undo,
      this.redo,
      button("Reset", "reset", () => whatIf.reset(), "the map as it was"),
    );
  }

  /** The choice of an intervention in the place of the painted map. */
  insteadField() {
    const { interventions = [] } = this.whatIf.episode.meta;
    if (!interventions.length) return null;
    const select = h(
      "select",
      { id: "instead", onchange: () => this.whatIf.replaceBy(select.value || null) },
      h("option", { value: "" }, this.layers.length ? "the painted map" : "its own map"),
      interventions.map((name) => h("option", { value: name }, words(name).replace(":", ": "))),
    );
    return select;
  }

  saving() {
    const label = "Name of the set";
    this.name = h("input", {
      id: "edits-name",
      value: "edits",
      maxlength: 60,
      "aria-label": label,
    });
    this.saved = h("div.saved", { role: "status" });
    const save = h(
      "button",
      { type: "button", id: "save-edit", onclick: () => this.save(), title: "To train towards it" },
      "Save to the set",
    );
    return [h("div.buttons", {}, this.name, save), this.saved];
  }

  async save() {
    const items = this.whatIf.items();
    if (!items.length) return fill(this.saved, "Paint on the map first.");
    try {
      const question = { name: this.name.value, items };
      const { saved, command } = await this.whatIf.episode.source.saveEdits(question);
      const n = items.length === 1 ? "1 edit" : `${items.length} edits`;
      return fill(this.saved, h("p", {}, `${n} in ${saved}`), command && nextCommand(command));
    } catch (error) {
      return fill(this.saved, error.message);
    }
  }

  /** Takes a tool by name. */
  choose(name) {
    this.tool.name = name;
    this.tools.choose(name);
    this.whatIf.map.picture.drawLines();
  }

  /** Takes the tool of a number, from 1 on. */
  chooseNumber(number) {
    const found = this.toolNames[number - 1];
    if (found) this.choose(found[0]);
  }

  /** Shows what can be undone, and which map is edited. */
  update(edit, layer) {
    this.undo.disabled = !edit.past.length;
    this.redo.disabled = !edit.future.length;
    this.maps?.choose(layer.id);
  }
}

function slider(id, label, [min, max, step], value, put) {
  const output = h("output", { for: id }, put(value));
  const oninput = (event) => {
    output.textContent = put(Number(event.target.value));
  };
  const input = h("input", { type: "range", id, min, max, step, value, oninput });
  return h("label.slider", {}, h("span", {}, label), input, output);
}

function nextCommand(command) {
  const onclick = () => navigator.clipboard?.writeText(command);
  return [
    h("p.note", {}, "Train towards it:"),
    h("code", { id: "next-command" }, command),
    h("button", { type: "button", onclick }, "Copy"),
  ];
}
