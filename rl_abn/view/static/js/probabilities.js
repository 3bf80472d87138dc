// What an agent or a network says, as bars with numbers: one row an action, class or control.

import { h, say } from "./dom.js";
import { number, percent, words } from "./format.js";

const MOST_ROWS = 20;
const HEADS = { classes: "Class", yes_no: "Question", controls: "Control" };

export class Probabilities {
  /**
   * @param names Of the actions. Of very many, the likeliest are shown.
   * @param series Two or one, each {label, tone}: a bar a row each; tone is a class.
   * @param kind Of what is said: "classes", "yes_no", "controls"; none is a policy.
   */
  constructor(names, series, kind) {
    Object.assign(this, { names, isPlain: kind === "controls" });
    const n = Math.min(names.length, MOST_ROWS);
    this.rows = Array.from({ length: n }, (_, i) => rowOf(names[i], series));
    const heads = series.map(({ label, tone }) => h(`th.${tone}`, { scope: "col" }, label));
    const first = h("th", { scope: "col" }, HEADS[kind] ?? "Action");
    this.element = h(
      "table.probabilities",
      {},
      h("thead", {}, h("tr", {}, first, h("td", {}), heads)),
      h(
        "tbody",
        {},
        this.rows.map(({ row }) => row),
      ),
    );
    if (n > 10) this.element.classList.add("dense");
  }

  /** Shows the numbers of each series; `marked` is the action taken or the right class, or null. */
  update(series, marked) {
    const shown = this.chosen(series, marked);
    this.rows.forEach(({ row, name, bars, numbers }, slot) => {
      const i = shown[slot];
      say(name, words(this.names[i]));
      row.classList.toggle("taken", i === marked);
      series.forEach((values, k) => {
        const value = values?.[i];
        bars[k].style.transform = `scaleX(${Math.min(Math.abs(value ?? 0), 1)})`;
        say(numbers[k], value == null ? "–" : this.isPlain ? number(value) : percent(value));
        numbers[k].dataset.value = value ?? "";
      });
    });
  }

  /** Which names are shown: all, or the likeliest and the marked one. */
  chosen(series, marked) {
    const all = this.names.map((_, i) => i);
    if (this.names.length <= MOST_ROWS) return all;
    const most = (i) => Math.max(...series.map((values) => values?.[i] ?? 0));
    const first = all.sort((a, b) => most(b) - most(a)).slice(0, MOST_ROWS);
    if (marked != null && !first.includes(marked)) first[MOST_ROWS - 1] = marked;
    return first;
  }
}

function rowOf(text, series) {
  const name = h("th", { scope: "row" }, text);
  const bars = series.map(({ tone }) => h(`span.bar.${tone}`, {}));
  const numbers = series.map(({ tone }) => h(`td.number.${tone}`, {}));
  const tracks = bars.map((bar) => h("span.track", {}, bar));
  const row = h("tr", {}, name, h("td.bars", { "aria-hidden": "true" }, tracks), numbers);
  return { row, name, bars, numbers };
}
