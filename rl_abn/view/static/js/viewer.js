// The page of one episode: screen, map, numbers, timeline, and what if.

import { fill, h, say } from "./dom.js";
import { job } from "./api.js";
import { lanesOf } from "./curves.js";
import { Gallery } from "./gallery.js";
import { whole } from "./format.js";
import { closeMenus, showHelp } from "./help.js";
import { listen } from "./keyboard.js";
import { layersOf } from "./layers.js";
import { stepKeeper } from "./links.js";
import { MapView } from "./mapview.js";
import { drawOutlines, objectsIn } from "./outlines.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Settings } from "./settings.js";
import { Side, relianceTable } from "./side.js";
import { Timeline } from "./timeline.js";
import { WhatIf } from "./whatif.js";

export class Viewer {
  /** @param episode An opened Episode. @param step To begin at. */
  constructor(episode, step) {
    this.episode = episode;
    const { meta } = episode;
    this.title = meta.title;
    this.layers = layersOf(meta);
    this.player = new Player(episode.nSteps, meta.fps);
    this.settings = new Settings(meta.objects, this.layers.length > 0, () => this.refresh());
    this.game = new Picture(
      "screen",
      meta.kind ? "Picture" : "Screen of the game",
      episode.height,
      episode.width,
      (context, zoom) => this.drawObjects(context, zoom),
    );
    this.map = new MapView(episode, this.layers, this.settings, "map");
    this.map.onplace = () => this.updateGallery();
    this.gallery =
      this.layers.length > 1
        ? new Gallery(episode, this.layers, (layer) => this.choose(layer))
        : null;
    const canAsk = meta.can_ask && this.layers.some((layer) => layer.kind === "map");
    this.side = new Side(episode, canAsk && !meta.kind ? (...asked) => this.measure(...asked) : null);
    const lanes = lanesOf(episode.curves);
    const unit = meta.kind ? "Picture" : "Step";
    this.timeline = new Timeline(this.player, episode.highlights, lanes, unit);
    this.whatIf = canAsk ? new WhatIf(this) : null;
    this.keeper = stepKeeper();
    this.narrow = matchMedia("(max-width: 760px)");
    this.narrow.addEventListener("change", () => this.placeReadout());
    this.placeReadout();
    this.element = h(
      "main.viewer",
      { id: "main" },
      this.toolbar(),
      h(
        "div.room",
        {},
        h(
          "div.stage",
          {},
          h(
            "figure.game",
            {},
            h("figcaption", {}, h("strong", {}, meta.kind ? "Picture" : "Screen"), this.cutNote()),
            this.game.element,
          ),
          this.layers.length ? this.map.element : null,
          this.gallery?.element,
          this.side.element,
          this.whatIf?.element,
        ),
      ),
      this.timeline.element,
    );
    this.element.style.setProperty("--aspect", episode.width / episode.height);
    this.element.classList.toggle("without-map", !this.layers.length);
    this.element.classList.toggle("without-gallery", !this.gallery);
    this.player.onchange((next) => {
      this.load(next);
      this.keeper.keep(next);
    });
    this.player.seek(step);
    this.load(this.player.step);
  }

  toolbar() {
    const { meta } = this.episode;
    this.askButton = this.whatIf
      ? h(
          "button.primary",
          {
            type: "button",
            id: "what-if",
            "aria-pressed": "false",
            onclick: () => this.toggleWhatIf(),
          },
          "What if…",
        )
      : null;
    const why =
      !this.whatIf && meta.why_not && this.layers.length
        ? h("span.note", {}, `What if is not there: ${meta.why_not}`)
        : null;
    return h("div.tools", {}, this.settings.element, h("span.spacer", {}), why, this.askButton);
  }

  cutNote() {
    const { cut } = this.episode.meta;
    return cut ? h("span.note.warning", { title: cut }, "cut off") : null;
  }

  enter() {
    const { player, timeline, settings, map } = this;
    const layer = (by) => {
      map.next(by);
      this.refresh();
    };
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
      b: () => timeline.bookmark(1),
      B: () => timeline.bookmark(-1),
      "+": () => timeline.zoom(0.5),
      "=": () => timeline.zoom(0.5),
      "-": () => timeline.zoom(2),
      m: () => layer(1),
      M: () => layer(-1),
      o: () => settings.toggleOverlay(),
      f: () => settings.toggleScale(),
      l: () => settings.toggleLines(),
      w: () => this.whatIf && this.toggleWhatIf(),
      p: () => this.map.pointing.isOffered && this.map.picture.lines.focus(),
      "?": showHelp,
      "/": showHelp,
      Escape: () => closeMenus() || (this.whatIf?.isOpen && this.toggleWhatIf()),
      ...this.whatIf?.keys(),
    });
  }

  leave() {
    this.player.pause();
    this.stopKeys();
    this.keeper.stop();
  }

  /** Goes to the step that the address names. */
  goTo(step) {
    this.player.seek(step);
  }

  async load(step) {
    const now = this.episode.stepNow(step);
    if (now) {
      this.show(now);
      this.episode.prefetch(step);
      return;
    }
    try {
      const shown = await this.episode.step(step);
      if (step === this.player.step) this.show(shown);
      this.episode.prefetch(step);
    } catch (error) {
      say(this.map.readout, error.message);
    }
  }

  show(shown) {
    this.shown = shown;
    this.whatIf?.moveTo(shown);
    this.game.show(shown.frame, shown.step);
    this.side.update(shown);
    this.refresh();
  }

  refresh() {
    if (!this.shown) return;
    this.objects = this.settings.hasLines
      ? objectsIn(this.shown.frame, this.episode.meta.objects)
      : null;
    this.game.drawLines();
    this.map.show(this.shown);
    this.updateGallery();
  }

  updateGallery() {
    this.gallery?.update(
      this.game.canvas,
      this.shown,
      this.map.layer,
      this.settings.scale,
      this.map.place,
    );
  }

  choose(layer) {
    this.map.choose(layer);
    this.refresh();
  }

  drawObjects(context, zoom) {
    if (!this.objects) return;
    const { width, meta } = this.episode;
    drawOutlines(context, this.objects, width, this.settings.linesOf(meta.objects), zoom);
  }

  toggleWhatIf() {
    this.player.pause();
    const isOpen = this.whatIf.toggle();
    this.element.classList.toggle("asking", isOpen);
    this.placeReadout();
    this.askButton.setAttribute("aria-pressed", isOpen);
    say(this.askButton, isOpen ? "Back to watching" : "What if…");
    this.refresh();
  }

  /** Below the screen there is room for a line that the map has its scale in. */
  placeReadout() {
    const isBelowMap = this.layers.length && (this.narrow.matches || this.whatIf?.isOpen);
    (isBelowMap ? this.map.picture : this.game).below.append(this.map.readout);
  }

  /** Measures map reliance and shows it in a box; `signal` stops it. */
  async measure(box, signal) {
    try {
      say(box, "measuring…");
      const { job: id } = await this.episode.source.reliance();
      const onchange = ({ done, of }) =>
        say(box, `measuring: ${whole(done)} of ${whole(of)} steps`);
      fill(box, relianceTable(await job(id, onchange, signal)));
    } catch (error) {
      say(box, error.message);
    }
  }
}
