// Below the pictures: play and step, an exact slider, bookmarks, curves.

import { fill, h, say } from "./dom.js";
import { clock, whole, words } from "./format.js";
import { icon } from "./icons.js";
import { Curves, INSET, isShownFirst } from "./curves.js";
import { menu, closeMenus } from "./help.js";

const LEAST_WINDOW = 20;

export class Timeline {
  /**
   * @param player A Player.
   * @param highlights Bookmarks of the episode: {step, kind, label}.
   * @param lanes Of `lanesOf`; none for pictures.
   * @param unit What a step is called.
   */
  constructor(player, highlights, lanes, unit = "Step") {
    this.unit = unit;
    this.player = player;
    this.window = [0, player.nSteps - 1];
    this.highlights = [...highlights].sort((a, b) => a.step - b.step);
    this.lanes = lanes;
    this.curves = new Curves(lanes, (step) => {
      player.pause();
      player.seek(step);
    });
    this.curves.choose(lanes.filter(({ name }) => isShownFirst(name)));
    this.slider = h("input.seek", {
      type: "range",
      id: "seek",
      min: 0,
      max: player.nSteps - 1,
      step: 1,
      value: 0,
      "aria-label": unit,
      oninput: () => {
        player.pause();
        player.seek(Number(this.slider.value));
      },
    });
    this.marks = h(
      "div.marks",
      {},
      this.highlights.map((found) => this.mark(found)),
    );
    this.element = h(
      "section.timeline",
      { "aria-label": "Timeline" },
      this.transport(),
      h(
        "div.seek-row",
        {},
        h("div.lane-label", {}, lanes.length ? this.clock : null),
        h("div.seek-track", {}, this.marks, this.slider),
      ),
      lanes.length ? this.curves.element : null,
    );
    this.curves.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? 0.8 : 1.25);
      },
      { passive: false },
    );
    player.onchange(() => this.update());
    this.update();
  }

  transport() {
    const button = (label, shown, onclick, id) =>
      h("button.icon", { type: "button", id, "aria-label": label, title: label, onclick }, shown);
    const { player } = this;
    this.play = button("Play", icon("play"), () => player.toggle(), "play");
    this.speed = h("output.speed", { "aria-label": "Speed" }, "1×");
    this.clock = h("output.clock", { "aria-label": "Time" });
    this.stepInput = h("input.step", {
      type: "number",
      id: "step",
      min: 0,
      max: player.nSteps - 1,
      "aria-label": `Go to ${this.unit.toLowerCase()}`,
      onchange: () => {
        player.pause();
        player.seek(Number(this.stepInput.value));
        this.update();
      },
    });
    const toggles = this.lanes.map((lane) =>
      h(
        "label.check",
        {},
        h("input", {
          type: "checkbox",
          value: lane.name,
          checked: isShownFirst(lane.name),
          onchange: () => this.chooseLanes(toggles),
        }),
        lane.label,
      ),
    );
    const list = this.highlights.map((found) =>
      h(
        "button.bookmark",
        {
          type: "button",
          onclick: () => {
            closeMenus();
            player.pause();
            player.seek(found.step);
          },
        },
        h(`span.glyph.${found.kind}`, { "aria-hidden": "true" }, icon(found.kind)),
        h("span.at", {}, whole(found.step)),
        h("span", {}, found.label ?? words(found.kind)),
      ),
    );
    return h(
      "div.transport",
      { role: "toolbar", "aria-label": "Player" },
      button("First", icon("first"), () => player.by(-Infinity)),
      button("Step back", icon("back"), () => player.by(-1)),
      this.play,
      button("Step on", icon("on"), () => player.by(1)),
      button("Last", icon("last"), () => player.by(Infinity)),
      h(
        "span.group",
        {},
        button("Slower", "−", () => player.faster(-1)),
        this.speed,
        button("Faster", "+", () => player.faster(1)),
      ),
      h("label.step-of", {}, `${this.unit} `, this.stepInput, ` of ${whole(player.nSteps - 1)}`),
      h("span.spacer", {}),
      this.highlights.length
        ? h(
            "span.group",
            {},
            button("Previous bookmark", "‹", () => this.bookmark(-1)),
            menu(`Bookmarks (${this.highlights.length})`, h("div.bookmarks", {}, list)),
            button("Next bookmark", "›", () => this.bookmark(1)),
          )
        : null,
      this.lanes.length
        ? menu("Curves", h("fieldset", {}, h("legend", {}, "Shown"), toggles))
        : null,
      this.lanes.length
        ? h(
            "span.group",
            {},
            button("Zoom the curves out", "⊖", () => this.zoom(2)),
            button("Zoom the curves in", "⊕", () => this.zoom(0.5)),
          )
        : null,
    );
  }

  mark(found) {
    const mark = h(
      `button.mark.${found.kind}`,
      {
        type: "button",
        tabindex: "-1",
        title: `${whole(found.step)}: ${found.label ?? words(found.kind)}`,
        "aria-label": `Step ${found.step}: ${found.label ?? words(found.kind)}`,
        onclick: () => {
          this.player.pause();
          this.player.seek(found.step);
        },
      },
      icon(found.kind),
    );
    found.mark = mark;
    return mark;
  }

  chooseLanes(toggles) {
    const chosen = new Set(
      toggles
        .map((label) => label.firstChild)
        .filter(({ checked }) => checked)
        .map(({ value }) => value),
    );
    this.curves.choose(this.lanes.filter(({ name }) => chosen.has(name)));
  }

  /** Goes to the next (+1) or previous (-1) bookmark. */
  bookmark(by) {
    const { step } = this.player;
    const found =
      by > 0
        ? this.highlights.find((next) => next.step > step)
        : this.highlights.findLast((last) => last.step < step);
    if (!found) return;
    this.player.pause();
    this.player.seek(found.step);
  }

  /** Shows `factor` times as many steps, around the present one. */
  zoom(factor) {
    const last = this.player.nSteps - 1;
    const [from, to] = this.window;
    const n = Math.min(
      last,
      Math.max(Math.min(LEAST_WINDOW, last), Math.round((to - from) * factor)),
    );
    const share = (this.player.step - from) / Math.max(1, to - from);
    this.shift(Math.round(this.player.step - share * n), n);
    this.update();
  }

  shift(from, n) {
    const start = Math.min(Math.max(0, from), this.player.nSteps - 1 - n);
    this.window = [start, start + n];
  }

  update() {
    const { player, slider } = this;
    const [from, to] = this.window;
    if (player.step < from || player.step > to)
      this.shift(player.step - Math.round((to - from) / 2), to - from);
    const [first, last] = this.window;
    if (slider.min !== String(first)) slider.min = first;
    if (slider.max !== String(last)) slider.max = last;
    slider.value = player.step;
    slider.setAttribute(
      "aria-valuetext",
      `${this.unit.toLowerCase()} ${player.step} of ${player.nSteps - 1}`,
    );
    if (document.activeElement !== this.stepInput) this.stepInput.value = player.step;
    say(
      this.clock,
      `${clock(player.step / player.fps)} / ${clock((player.nSteps - 1) / player.fps)}`,
    );
    say(this.speed, `${player.speed}×`);
    if (this.wasPlaying !== player.isPlaying) {
      this.wasPlaying = player.isPlaying;
      fill(this.play, icon(player.isPlaying ? "pause" : "play"));
      this.play.setAttribute("aria-label", player.isPlaying ? "Pause" : "Play");
    }
    if (this.placed !== this.window) this.placeMarks();
    this.curves.update(player.step, this.window);
  }

  placeMarks() {
    this.placed = this.window;
    const [from, to] = this.window;
    for (const { step, mark } of this.highlights) {
      mark.hidden = step < from || step > to;
      const share = (step - from) / Math.max(1, to - from);
      mark.style.left = `calc(${INSET}px + ${share} * (100% - ${2 * INSET}px))`;
    }
  }
}
