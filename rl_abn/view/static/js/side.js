// Beside the pictures: probabilities of both branches, and the numbers of the step.

import { fill, h, say } from "./dom.js";
import { number, signed, whole } from "./format.js";
import { Probabilities } from "./probabilities.js";
import { WorkButton } from "./workbutton.js";

export class Side {
  constructor(episode, onreliance) {
    const { meta, curves } = episode;
    this.episode = episode;
    const has = (name) => name in meta.arrays;
    this.series = [
      { name: "probabilities", label: meta.kind ? "says" : "acts", tone: "acting" },
      { name: "branch_probabilities", label: "branch", tone: "branch" },
      { name: "truth", label: "right", tone: "truth" },
    ].filter(({ name }) => has(name));
    this.table = new Probabilities(meta.action_names, this.series, meta.kind);
    this.line = h("p.facts", {});
    this.numbers = new Map();
    const shown = [
      ["score", "Score"],
      ["lives", "Lives"],
      ["reward", "Reward"],
      ["value", "Value"],
      ["branch_value", "Branch's value"],
      ["advantage", "Advantage"],
      ["entropy", "Entropy"],
      ["disagreement", "Branch differs"],
    ];
    const cells = shown
      .filter(([name]) => curves[name])
      .map(([name, label]) => {
        const output = h("dd", { id: `number-${name}` });
        this.numbers.set(name, output);
        return h("div", {}, h("dt", {}, label), output);
      });
    this.relianceBox = h("div.reliance", { "aria-live": "polite" });
    this.element = h(
      "aside.side",
      { "aria-label": "What the agent computes" },
      h(
        "h2",
        {},
        meta.kind
          ? "What the network says"
          : this.series.length
            ? "Action probabilities"
            : "Numbers",
      ),
      meta.kind ? this.line : null,
      this.series.length ? this.table.element : null,
      h("dl.numbers", {}, cells),
      onreliance
        ? h(
            "div.ask",
            {},
            new WorkButton(
              "button",
              {
                id: "measure",
                title: "How much the policy changes when the map is replaced",
              },
              "Measure map reliance",
              (signal) => onreliance(this.relianceBox, signal),
            ).element,
            this.relianceBox,
          )
        : null,
    );
  }

  update({ step, arrays, name, line }) {
    if (line) fill(this.line, line, h("br", {}), h("span.path", {}, name));
    this.table.update(
      this.series.map(({ name }) => arrays[name]),
      arrays.action,
    );
    for (const [name, output] of this.numbers) {
      const value = this.episode.curves[name][step];
      say(output, name === "advantage" || name === "reward" ? signed(value) : number(value));
    }
  }
}

const INSTEAD = {
  uniform: "evened out",
  time_average: "the average one",
  swap: "another moment's",
  shifted: "moved",
  observation: "the screen of another moment",
};

/** Map reliance: how much the policy changes with another map. */
export function relianceTable({ n_steps: n, ...reliance }) {
  const rows = Object.entries(INSTEAD)
    .filter(([name]) => typeof reliance[name] === "number")
    .map(([name, text]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, text),
        h("td", { "data-name": name }, `${number(reliance[name], 2)} nats`),
      ),
    );
  return [
    h("p.note", {}, `Change of the policy when the map is replaced, over ${whole(n ?? 0)} steps:`),
    h("table", {}, h("tbody", {}, rows)),
  ];
}
