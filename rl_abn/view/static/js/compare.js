// Two episodes side by side, in lock-step.

import { h, say } from "./dom.js";
import { number } from "./format.js";
import { lanesOf } from "./curves.js";
import { closeMenus, showHelp } from "./help.js";
import { listen } from "./keyboard.js";
import { layersOf } from "./layers.js";
import { link, stepKeeper } from "./links.js";
import { MapView } from "./mapview.js";
import { Player } from "./player.js";
import { Settings } from "./settings.js";
import { Probabilities } from "./probabilities.js";
import { Timeline } from "./timeline.js";

const LABELS = { score: "Score", value: "Value", lives: "Lives" };

/** One of the two. */
class Half {
  constructor(episode, settings, index) {
    const { meta } = episode;
    Object.assign(this, { episode, settings });
    this.layers = layersOf(meta);
    this.map = new MapView(episode, this.layers, settings, `map-${index + 1}`);
    this.names = ["probabilities", "branch_probabilities"].filter((name) => name in meta.arrays);
    const labels = {
      probabilities: { label: "acts", tone: "acting" },
      branch_probabilities: { label: "branch", tone: "branch" },
    };
    this.table = new Probabilities(
      meta.action_names,
      this.names.map((name) => labels[name]),
    );
    this.numbers = ["score", "value", "lives"]
      .filter((name) => episode.curves[name])
      .map((name) => [name, h("dd", {})]);
    this.over = h("p.note", { role: "status" });
    const { continues } = meta.source;
    const origin = continues
      ? h("p.note", {}, `From step ${continues.step} on: ${continues.edit ?? "its own maps"}.`)
      : null;
    this.element = h(
      "section.half",
      { "aria-label": meta.title },
      h(
        "h2",
        {},
        h("span.letter", {}, "AB"[index]),
        h("a", { href: link({ e: episode.id, t: 0 }) }, meta.title),
      ),
      h(
        "div.half-body",
        {},
        this.map.element,
        h(
          "div.side",
          {},
          this.names.length ? this.table.element : null,
          h(
            "dl.numbers",
            {},
            this.numbers.map(([name, output]) => h("div", {}, h("dt", {}, LABELS[name]), output)),
          ),
          origin,
          this.over,
        ),
      ),
    );
  }

  async load(wanted, isStill) {
    const step = Math.min(wanted, this.episode.nSteps - 1);
    const shown = this.episode.stepNow(step) ?? (await this.episode.step(step));
    this.episode.prefetch(step);
    if (!isStill()) return;
    this.map.show(shown);
    this.table.update(
      this.names.map((name) => shown.arrays[name]),
      shown.arrays.action,
    );
    for (const [name, output] of this.numbers) say(output, number(this.episode.curves[name][step]));
    say(this.over, wanted > step ? `It ended at step ${step}.` : "");
  }
}

export class Compare {
  /** @param episodes Two opened Episodes. @param step To begin at. */
  constructor(episodes, step) {
    this.title = episodes.map(({ meta }) => meta.title).join(" beside ");
    const nSteps = Math.max(...episodes.map((episode) => episode.nSteps));
    this.player = new Player(nSteps, episodes[0].meta.fps);
    const objects = episodes.flatMap(({ meta }) => meta.objects);
    this.settings = new Settings(objects, true, () =>
      this.halves.forEach(({ map }) => map.refresh()),
    );
    this.halves = episodes.map((episode, i) => new Half(episode, this.settings, i));
    this.timeline = new Timeline(this.player, [], lanesOfBoth(episodes));
    this.keeper = stepKeeper();
    this.element = h(
      "main.compare",
      { id: "main" },
      h(
        "div.tools",
        {},
        this.settings.element,
        h("span.spacer", {}),
        h("button", { type: "button", onclick: () => this.next(1) }, "Next map"),
      ),
      h(
        "div.halves",
        {},
        this.halves.map(({ element }) => element),
      ),
      this.timeline.element,
    );
    this.player.onchange((next) => {
      this.load(next);
      this.keeper.keep(next);
    });
    this.player.seek(step);
    this.load(this.player.step);
  }

  next(by) {
    for (const { map } of this.halves) map.next(by);
  }

  load(step) {
    const isStill = () => step === this.player.step;
    for (const half of this.halves)
      half.load(step, isStill).catch((error) => say(half.over, error.message));
  }

  goTo(step) {
    this.player.seek(step);
  }

  enter() {
    const { player, timeline, settings } = this;
    this.stopKeys = listen({
      Space: () => player.toggle(),
      ArrowLeft: () => player.by(-1),
      ArrowRight: () => player.by(1),
      "Shift+ArrowLeft": () => player.by(-10),
      "Shift+ArrowRight": () => player.by(10),
      Home: () => player.by(-Infinity),
      End: () => player.by(Infinity),
      "[": () => player.faster(-1),
      "]": () => player.faster(1),
      "+": () => timeline.zoom(0.5),
      "-": () => timeline.zoom(2),
      m: () => this.next(1),
      M: () => this.next(-1),
      o: () => settings.toggleOverlay(),
      f: () => settings.toggleScale(),
      l: () => settings.toggleLines(),
      "?": showHelp,
      "/": showHelp,
      Escape: closeMenus,
    });
  }

  leave() {
    this.player.pause();
    this.stopKeys();
    this.keeper.stop();
  }
}

/** A lane for each curve that both have, A's and B's in it. */
function lanesOfBoth(episodes) {
  const [some, others] = episodes.map(({ curves }) => lanesOf(curves));
  return some.flatMap((lane) => {
    const other = others.find(({ name }) => name === lane.name);
    return other
      ? [
          {
            ...lane,
            series: [lane, other].map(({ series: [{ values }] }, i) => ({ name: "AB"[i], values })),
          },
        ]
      : [];
  });
}
