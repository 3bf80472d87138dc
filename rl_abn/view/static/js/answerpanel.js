// The panel that says what an edited map changes.

import { h, say } from "./dom.js";
import { number, signed, words } from "./format.js";
import { Probabilities } from "./probabilities.js";

export class AnswerPanel {
  /** @param meta What is known of the episode. */
  constructor(meta) {
    this.meta = meta;
    const series = [
      { label: "own", tone: "acting" },
      { label: "edited", tone: "edited" },
    ];
    this.table = new Probabilities(meta.action_names, series, meta.kind);
    this.value = h("dd", { id: "what-if-value" });
    this.kl = h("dd", { id: "what-if-kl" });
    this.rows = {
      value: h("div", {}, h("dt", {}, "Value"), this.value),
      kl: h("div", {}, h("dt", {}, "KL, its own policy to the edited one"), this.kl),
    };
    this.said = h("p.said", { role: "status", id: "what-if-said" });
    this.element = h(
      "div.panel.answer",
      {},
      h("h2", {}, meta.kind ? "2 · What it would say" : "2 · What it would do"),
      this.table.element,
      h("dl.numbers.wide", {}, this.rows.value, this.rows.kl),
      this.said,
    );
  }

  /**
   * Shows an answer of the server.
   *
   * @param answer With its "own" one in it.
   * @param isEdited Whether anything was asked.
   * @param marked Index of the action that was taken, or of the right class; null for none.
   */
  show(answer, isEdited, marked) {
    const { own } = answer;
    this.table.update([own.probabilities, isEdited ? answer.probabilities : null], marked);
    this.rows.value.hidden = own.value == null;
    this.rows.kl.hidden = answer.kl == null;
    say(this.value, isEdited ? change(own.value, answer.value) : number(own.value));
    say(this.kl, isEdited ? `${number(answer.kl)} nats` : "–");
    say(this.said, isEdited ? this.sentence(own, answer) : "Nothing is edited yet.");
  }

  /** What the edit changes, in a plain sentence. */
  sentence(own, answer) {
    const { kind, action_names: names } = this.meta;
    const [before, after] = [own.probabilities, answer.probabilities];
    if (kind === "controls") {
      return `${names.map((name, i) => `${words(name)} ${change(before[i], after[i])}`).join(", ")}.`;
    }
    if (kind === "yes_no") {
      const changed = names.filter((_, i) => before[i] >= 0.5 !== after[i] >= 0.5);
      return changed.length
        ? `It would answer otherwise: ${changed.join(", ")}.`
        : "No answer changes.";
    }
    const [first, second] = [before, after].map((p) => names[p.indexOf(Math.max(...p))]);
    const verb = kind ? "say" : "prefer";
    if (first === second) return `It would still ${verb} ${first}.`;
    return kind
      ? `It would say ${second} and not ${first}.`
      : `It would prefer ${second} to ${first}.`;
  }

  /** Says something in the place of an answer. */
  note(message) {
    say(this.said, message);
  }
}

/** A number before and after, with the difference. */
function change(before, after) {
  if (before === after) return `${number(before)} (the same)`;
  return `${number(before)} → ${number(after)} (${signed(after - before)})`;
}
