// How maps are shown: overlay, opacity, scale, lines around objects. One for all pictures of a page.

import { choice, h } from "./dom.js";
import { words } from "./format.js";
import { hueOf } from "./outlines.js";
import { menu } from "./help.js";

export class Settings {
  /**
   * @param all Objects of the game, or of several: those of one name are outlined alike.
   * @param hasMaps Whether there is anything to lay over the screen.
   * @param onchange Called after a change.
   */
  constructor(all, hasMaps, onchange) {
    const objects = [...new Map(all.map((object) => [object.name, object])).values()];
    Object.assign(this, {
      objects,
      onchange,
      isLit: true,
      opacity: 1,
      scale: "fixed",
      hasLines: false,
    });
    this.outlined = new Set(objects.map(({ name }) => name));
    this.lit = h("input", {
      type: "checkbox",
      id: "overlay",
      checked: true,
      onchange: () => this.set({ isLit: this.lit.checked }),
    });
    this.slider = h("input", {
      type: "range",
      id: "opacity",
      min: 0,
      max: 100,
      value: 100,
      "aria-label": "Opacity of the overlay",
      oninput: () => this.set({ opacity: Number(this.slider.value) / 100 }),
    });
    this.scales = choice(
      "Scale",
      [
        ["fixed", "Fixed scale"],
        ["frame", "Each frame's own"],
      ],
      "fixed",
      (scale) => this.set({ scale }),
    );
    this.linesBox = h("input", {
      type: "checkbox",
      id: "outlines",
      onchange: () => this.set({ hasLines: this.linesBox.checked }),
    });
    this.element = h(
      "div.settings",
      { role: "toolbar", "aria-label": "How maps are shown" },
      hasMaps
        ? [
            h("label.check", {}, this.lit, "Overlay"),
            h("label.check", {}, "Opacity ", this.slider),
            this.scales,
          ]
        : null,
      objects.length ? h("label.check", {}, this.linesBox, "Outline objects") : null,
      objects.length
        ? menu(
            "Objects",
            h(
              "fieldset",
              {},
              h("legend", {}, "Outlined"),
              objects.map((object, i) => this.objectBox(object, i)),
            ),
          )
        : null,
    );
  }

  objectBox({ name }, i) {
    const box = h("input", {
      type: "checkbox",
      checked: true,
      onchange: () => {
        if (box.checked) this.outlined.add(name);
        else this.outlined.delete(name);
        this.linesBox.checked = true;
        this.set({ hasLines: true });
      },
    });
    const swatch = h("span.swatch", { "aria-hidden": "true" });
    swatch.style.background = hueOf(i);
    return h("label.check", {}, box, swatch, words(name));
  }

  /** The colour of the line around each of a game's objects; null for none. */
  linesOf(objects) {
    const names = this.objects.map(({ name }) => name);
    return objects.map(({ name }) =>
      this.outlined.has(name) ? hueOf(names.indexOf(name)) : null,
    );
  }

  set(changes) {
    Object.assign(this, changes);
    this.onchange();
  }

  toggleOverlay() {
    this.lit.checked = !this.lit.checked;
    this.set({ isLit: this.lit.checked });
  }

  toggleScale() {
    const scale = this.scale === "fixed" ? "frame" : "fixed";
    this.scales.choose(scale);
    this.set({ scale });
  }

  toggleLines() {
    if (!this.objects.length) return;
    this.linesBox.checked = !this.linesBox.checked;
    this.set({ hasLines: this.linesBox.checked });
  }
}
