// Beside the pictures: probabilities of both branches, and the numbers of the step.

import { h, say } from "./dom.js";
import { number, percent, signed, whole } from "./format.js";

/** Probabilities as pairs of bars, one row an action. */
export class Probabilities {
  /**
   * @param names Of the actions.
   * @param series Two or one, each {label, tone}: a bar a row each; tone is a class.
   */
  constructor(names, series) {
    this.rows = names.map((name) => {
      const bars = series.map(({ tone }) => h(`span.bar.${tone}`, {}));
      const numbers = series.map(({ tone }) => h(`td.number.${tone}`, {}));
      const row = h("tr", {}, h("th", { scope: "row" }, name), h("td.bars", { "aria-hidden": "true" }, bars.map((bar) => h("span.track", {}, bar))), numbers);
      return { row, bars, numbers };
    });
    const heads = series.map(({ label, tone }) => h(`th.${tone}`, { scope: "col" }, label));
    this.element = h("table.probabilities", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Action"), h("td", {}), heads)),
      h("tbody", {}, this.rows.map(({ row }) => row)));
    if (names.length > 10) this.element.classList.add("dense");
  }

  /** Shows the probabilities of each series; `action` is the one taken, or null. */
  update(series, action) {
    this.rows.forEach(({ row, bars, numbers }, i) => {
      row.classList.toggle("taken", i === action);
      series.forEach((probabilities, k) => {
        const share = probabilities?.[i];
        bars[k].style.transform = `scaleX(${share ?? 0})`;
        say(numbers[k], share == null ? "–" : percent(share));
        numbers[k].dataset.value = share ?? "";
      });
    });
  }
}

export class Side {
  constructor(episode, onreliance) {
    const { meta, curves } = episode;
    this.episode = episode;
    const has = (name) => name in meta.arrays;
    this.series = [has("probabilities") && { name: "probabilities", label: "acts", tone: "acting" },
      has("branch_probabilities") && { name: "branch_probabilities", label: "branch", tone: "branch" }].filter(Boolean);
    this.table = new Probabilities(meta.action_names, this.series);
    this.numbers = new Map();
    const shown = [["score", "Score"], ["lives", "Lives"], ["reward", "Reward"], ["value", "Value"],
      ["branch_value", "Branch's value"], ["advantage", "Advantage"], ["entropy", "Entropy"], ["disagreement", "Branch differs"]];
    const cells = shown.filter(([name]) => curves[name]).map(([name, label]) => {
      const output = h("dd", { id: `number-${name}` });
      this.numbers.set(name, output);
      return h("div", {}, h("dt", {}, label), output);
    });
    this.relianceBox = h("div.reliance", { "aria-live": "polite" });
    this.element = h("aside.side", { "aria-label": "What the agent computes" },
      h("h2", {}, this.series.length ? "Action probabilities" : "Numbers"),
      this.series.length ? this.table.element : null,
      h("dl.numbers", {}, cells),
      onreliance ? h("div.ask", {},
        h("button", { type: "button", onclick: () => onreliance(this.relianceBox), title: "How much the policy changes when the map is replaced" }, "Measure map reliance"),
        this.relianceBox) : null);
  }

  update({ step, arrays }) {
    this.table.update(this.series.map(({ name }) => arrays[name]), arrays.action);
    for (const [name, output] of this.numbers) {
      const value = this.episode.curves[name][step];
      say(output, name === "advantage" || name === "reward" ? signed(value) : number(value));
    }
  }
}

const INSTEAD = {
  uniform: "evened out", time_average: "the average one", swap: "another moment's", shifted: "moved", observation: "the screen of another moment",
};

/** Map reliance: how much the policy changes with another map. */
export function relianceTable({ n_steps: n, ...reliance }) {
  const rows = Object.entries(INSTEAD).filter(([name]) => typeof reliance[name] === "number").map(([name, text]) =>
    h("tr", {}, h("th", { scope: "row" }, text), h("td", { "data-name": name }, `${number(reliance[name], 2)} nats`)));
  return [h("p.note", {}, `Change of the policy when the map is replaced, over ${whole(n ?? 0)} steps:`), h("table", {}, h("tbody", {}, rows))];
}
