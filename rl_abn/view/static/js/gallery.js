// Small pictures of all layers, to see them at once and to choose the large one.

import { colour, h } from "./dom.js";
import { gridOf, rowOf, valuesOf } from "./layers.js";
import { lit } from "./light.js";
import { drawBars } from "./bars.js";
import { scaleOf, sharesOf } from "./scale.js";

const LEAST_WIDTH = 100; // smaller screens are not made smaller still
const COLUMNS = [
  [4, 2],
  [6, 3],
  [12, 4],
];

export class Gallery {
  constructor(episode, layers, onchoose) {
    Object.assign(this, { episode, layers });
    this.shrink = episode.width < LEAST_WIDTH ? 1 : 2;
    this.size = [episode.height, episode.width].map((side) => Math.ceil(side / this.shrink));
    this.thumbs = layers.map((layer) => {
      const canvas = h("canvas", {
        "aria-hidden": "true",
        height: this.size[0],
        width: this.size[1],
      });
      const button = h(
        "button.thumb",
        {
          type: "button",
          "aria-pressed": "false",
          title: layer.label,
          id: `layer-${layer.id}`,
          onclick: () => onchoose(layer),
        },
        canvas,
        h("span", {}, layer.short),
      );
      return { layer, canvas, button };
    });
    const small = new OffscreenCanvas(this.size[1], this.size[0]);
    this.small = small.getContext("2d", { willReadFrequently: true });
    const columns = COLUMNS.find(([most]) => layers.length <= most)?.[1] ?? 5;
    const groups = [
      ["map", "Maps"],
      ["evidence", "What speaks for each action"],
    ].map(([kind, title]) => {
      const own = this.thumbs.filter(({ layer }) => layer.kind === kind);
      return own.length
        ? [
            h("h2", {}, title),
            h(
              `div.thumbs.of-${kind}`,
              {},
              own.map(({ button }) => button),
            ),
          ]
        : [];
    });
    this.element = h("section.gallery", { "aria-label": "Maps and evidence" }, groups);
    this.element.style.setProperty("--columns", columns);
  }

  /**
   * Draws all of them anew.
   *
   * @param screen The canvas that shows the screen.
   */
  update(screen, { arrays }, chosen, scale, place) {
    const { meta } = this.episode;
    const [height, width] = this.size;
    this.small.imageSmoothingQuality = "medium";
    this.small.drawImage(screen, 0, 0, width, height);
    const small = this.small.getImageData(0, 0, width, height);
    for (const { layer, canvas, button } of this.thumbs) {
      const isChosen = layer === chosen;
      button.setAttribute("aria-pressed", isChosen);
      button.classList.toggle("taken", layer.kind === "evidence" && layer.index === arrays.action);
      const values = valuesOf(layer, arrays);
      const shares = sharesOf(values, scaleOf(layer, values, arrays, meta, scale));
      const context = canvas.getContext("2d");
      if (layer.form === "bars" || layer.form === "steps") {
        context.clearRect(0, 0, canvas.width, canvas.height);
        drawBars(context, shares, canvas.width, canvas.height, colour("--track"), colour("--warm"));
        continue;
      }
      const shown = layer.form === "pairwise" ? rowOf(layer, shares, place) : shares;
      const seenRows = meta.seen_rows?.map((row) => Math.round(row / this.shrink)) ?? null;
      context.putImageData(lit(small, shown, gridOf(layer, meta), { seenRows }), 0, 0);
    }
  }
}
