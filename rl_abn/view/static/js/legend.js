// The scale under a picture: its colours, and the numbers of its ends.

import { h, say } from "./dom.js";
import { ramp } from "./light.js";

const N = 64;

export class Legend {
  constructor() {
    this.low = h("span", { id: "scale-low" });
    this.high = h("span", { id: "scale-high" });
    this.note = h("span.note", { id: "scale-note" });
    const strip = h("canvas.pixels", { width: N, height: 2, "aria-hidden": "true" });
    const pixels = new ImageData(N, 2);
    [0, 255].forEach((ground, row) => {
      const colours = ramp(N, ground);
      for (let i = 0; i < N; i++)
        pixels.data.set([...colours.subarray(3 * i, 3 * i + 3), 255], 4 * (row * N + i));
    });
    strip.getContext("2d").putImageData(pixels, 0, 0);
    this.element = h(
      "div.legend",
      { role: "group", "aria-label": "Scale of the map" },
      this.low,
      strip,
      this.high,
      this.note,
    );
  }

  update({ lowText, highText, note, isFixed }) {
    say(this.low, lowText);
    say(this.high, highText);
    say(this.note, note);
    this.note.classList.toggle("warning", !isFixed);
  }
}
