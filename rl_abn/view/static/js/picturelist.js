// The pictures of a vision run, page by page, with what the network says of them.

import { get } from "./api.js";
import { choice, fill, h } from "./dom.js";
import { whole } from "./format.js";
import { link } from "./links.js";
import { PARTS, pathOf } from "./pictures.js";

const PAGE = 24;

/** A list that reads its pages as they are asked for. */
export class PictureList {
  /** @param run Its id. */
  constructor(run) {
    Object.assign(this, { run, from: 0 });
    this.head = h("div.buttons", {});
    this.list = h(
      "ul.pictures",
      { "aria-live": "polite" },
      h("li.note", {}, "Reading the pictures…"),
    );
    this.element = h("div", {}, this.head, this.list);
    this.open().catch((error) => fill(this.list, h("li", { role: "alert" }, error.message)));
  }

  async open() {
    const info = await get(pathOf(this.run));
    const parts = Object.entries(info.parts).filter(([, n]) => n);
    [this.part] = parts[0];
    this.sizes = info.parts;
    const names = parts.map(([part]) => [part, PARTS[part]]);
    const parted = choice("Part", names, this.part, (part) => this.turn(part, 0));
    const button = (text, by) =>
      h("button", { type: "button", onclick: () => this.turn(this.part, this.from + by) }, text);
    this.back = button("‹ Before", -PAGE);
    this.on = button("Next ›", PAGE);
    this.range = h("span.note", {});
    fill(this.head, parted, this.back, this.on, this.range);
    await this.turn(this.part, 0);
  }

  /** Shows the pictures of a part from a number on. */
  async turn(part, from) {
    Object.assign(this, { part, from });
    const n = this.sizes[part];
    this.back.disabled = from === 0;
    this.on.disabled = from + PAGE >= n;
    fill(this.range, `${whole(from + 1)} to ${whole(Math.min(from + PAGE, n))} of ${whole(n)}`);
    const { pictures } = await get(`${pathOf(this.run, part)}?from=${from}`);
    if (part === this.part && from === this.from)
      fill(
        this.list,
        pictures.map((found) => this.card(found)),
      );
  }

  card({ number, name, line, right }) {
    const { run, part } = this;
    const src = `${pathOf(run, part)}/${number}/picture`;
    const href = link({ v: run, part, t: number });
    const tone = right === null ? "" : right ? ".right" : ".wrong";
    const picture = h("img.pixels", { src, alt: "", loading: "lazy" });
    return h("li", {}, h("a", { href, title: name }, picture, h(`span${tone}`, {}, line)));
  }
}
