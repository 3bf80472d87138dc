// Playing on from a step, with the agent's own maps and with edited ones.

import { fill, h, say } from "./dom.js";
import { job } from "./api.js";
import { number, signed, words } from "./format.js";
import { link } from "./links.js";
import { FuturesChart } from "./futureschart.js";
import { WorkButton } from "./workbutton.js";

export class Futures {
  /** @param whatIf The WhatIf that this belongs to. */
  constructor(whatIf) {
    this.whatIf = whatIf;
    this.chart = new FuturesChart();
    const whole = (id, label, value, min, max) =>
      h(
        "label.field",
        {},
        label,
        (this[id] = h("input", { type: "number", id: `futures-${id}`, value, min, max })),
      );
    this.how = h(
      "select",
      { id: "futures-how", onchange: () => this.update() },
      h("option", { value: "once" }, "at this step alone"),
      h("option", { value: "steps" }, "for some steps"),
      h("option", { value: "always" }, "from now on, always"),
    );
    this.forLabel = whole("n", "Steps it holds", 20, 1, 2000);
    this.what = h(
      "select",
      {
        id: "futures-what",
        onchange: () => {
          whatIf.edited();
          whatIf.map.refresh();
        },
      },
      h("option", { value: "map" }, "the edited map"),
      whatIf.layers[0]?.form === "spatial"
        ? h("option", { value: "box" }, "never look in the box")
        : null,
    );
    this.whatNote = h("p.note", {});
    this.go = new WorkButton(
      "button.primary",
      { id: "futures-go" },
      "Play on",
      (signal) => this.run(signal),
      () => this.update(),
    );
    this.progress = h("progress", {
      id: "futures-progress",
      max: 1,
      value: 0,
      "aria-label": "Futures played",
      hidden: true,
    });
    this.of = h("p.facts", { id: "futures-of" });
    this.said = h("p.said", { role: "status", id: "futures-said" });
    this.pairs = h("div.pairs", {});
    this.element = h(
      "div.panel.futures",
      {},
      h("h2", {}, "3 · Play on from here"),
      h(
        "div.fields",
        {},
        h("label.field", {}, "With", this.what),
        h("label.field", {}, "It holds", this.how),
        this.forLabel,
      ),
      h(
        "div.fields.small",
        {},
        whole("count", "Futures a side", 6, 1, 16),
        whole("steps", "Steps at most", 200, 1, 2000),
        whole("seed", "Seed", 0, 0, 2147483647),
      ),
      this.whatNote,
      h(
        "div.buttons",
        {},
        this.go.element,
        h(
          "label.check",
          {},
          (this.greedy = h("input", { type: "checkbox", id: "futures-greedy" })),
          "likeliest actions only",
        ),
        this.progress,
      ),
      this.of,
      this.said,
      this.chart.element,
      this.pairs,
    );
  }

  update() {
    this.forLabel.hidden = this.how.value !== "steps";
    const { box } = this.whatIf.painter;
    const isBox = this.isOfBox;
    const note = isBox
      ? box
        ? `The map is 0 in columns ${box[0]}–${box[2] - 1}, rows ${box[1]}–${box[3] - 1}; elsewhere it is the agent's own.`
        : "Draw a box on the map first, with the tool Box."
      : this.isReady
        ? ""
        : this.whatIf.layers.length
          ? "Edit the map first."
          : "Choose what it acts on first.";
    say(this.whatNote, note);
    this.go.element.disabled = !this.go.running && !this.isReady;
  }

  /** Whether futures are asked for in which the agent never looks in a box. */
  get isOfBox() {
    return this.what.value === "box";
  }

  /** Takes "map" or "box". */
  choose(what) {
    this.what.value = what;
  }

  get isReady() {
    const { painter, edit, intervention } = this.whatIf;
    return this.what.value === "box"
      ? painter.box !== null
      : Boolean(intervention || edit?.changed.length);
  }

  get plan() {
    const { painter, edit, intervention } = this.whatIf;
    const how = { how: this.how.value, n: Number(this.n.value) };
    if (this.isOfBox)
      return { map: null, ...how, rule: { kind: "never_look_at", box: painter.box } };
    if (intervention)
      return { map: null, ...how, rule: { kind: "intervention", name: intervention } };
    return { map: edit.painted, ...how, rule: null };
  }

  /** From where it is played on and with what, as text: both may be others when it is played. */
  get description() {
    const { shown, painter, intervention } = this.whatIf;
    const { box } = painter;
    const what = this.isOfBox
      ? `never looking in columns ${box[0]}–${box[2] - 1}, rows ${box[1]}–${box[3] - 1}`
      : intervention
        ? words(intervention).replace(":", ": ")
        : "the painted map";
    const n = Number(this.n.value);
    const how = {
      once: "at this step alone",
      steps: n === 1 ? "for 1 step" : `for ${n} steps`,
      always: "always",
    };
    return `From step ${shown.step}: ${what}, ${how[this.how.value]}.`;
  }

  async run(signal) {
    const { shown, episode } = this.whatIf;
    const { description } = this;
    this.progress.hidden = false;
    this.progress.value = 0;
    this.element.setAttribute("aria-busy", "true");
    const nSteps = Number(this.steps.value);
    try {
      const { job: id } = await episode.source.futures({
        step: shown.step,
        edit: this.plan,
        n_futures: Number(this.count.value),
        max_steps: nSteps,
        seed: Number(this.seed.value),
        greedy: this.greedy.checked,
      });
      this.clear();
      say(this.of, description);
      const result = await job(
        id,
        ({ done, of, message }) => {
          this.progress.value = of ? done / of : 0;
          say(this.said, message || "playing…");
        },
        signal,
      );
      this.show(result, nSteps);
    } catch (error) {
      say(this.said, error.message);
    }
    this.progress.hidden = true;
    this.element.removeAttribute("aria-busy");
  }

  /** Takes away what was played before. */
  clear() {
    this.chart.element.hidden = true;
    fill(this.pairs);
    delete this.element.dataset.done;
  }

  show(result, nSteps) {
    const { own, edited } = result;
    say(this.said, sentence(result, nSteps));
    this.chart.show(result);
    const pairs = own.episodes.map((id, i) => {
      const [before, after] = [own, edited].map(({ returns }) => number(returns[i]));
      return h(
        "a.button.pair",
        {
          href: link({ e: id, e2: edited.episodes[i], t: 0 }),
          "aria-label": `Watch pair ${i + 1} side by side: own ${before}, edited ${after}`,
        },
        h("span.acting", {}, before),
        " · ",
        h("span.edited", {}, after),
      );
    });
    fill(
      this.pairs,
      h("h2", {}, "Watch a pair side by side (own · edited)"),
      h("div.buttons", {}, pairs),
    );
    this.element.dataset.done = own.episodes.length;
  }
}

/** What futures came to, in a plain sentence. */
function sentence({ own, edited, difference, alike }, nSteps) {
  const n = own.returns.length;
  const games = n === 1 ? "In one future a side" : `In ${n} futures a side`;
  const means = `the edited map scores ${number(edited.mean)} in the next ${nSteps} steps, its own ${number(own.mean)}`;
  const { mean, low, high } = difference;
  if (alike)
    return `${games}, ${means}: ${signed(mean)}. More would be the same game: nothing is left to chance.`;
  if (low == null || high == null || n < 2)
    return `${games}, ${means}: ${signed(mean)}. One pair says little; play more.`;
  const interval = `${signed(mean)} (95% interval ${signed(low)} to ${signed(high)})`;
  if (low > 0 || high < 0)
    return `${games}, ${means}: ${low > 0 ? "better" : "worse"}, by ${interval}.`;
  return `${games}, ${means}: no clear difference, ${interval}.`;
}
