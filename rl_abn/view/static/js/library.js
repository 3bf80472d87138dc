// The first page: what is served.

import { h } from "./dom.js";
import { number, whole } from "./format.js";
import { showHelp } from "./help.js";
import { listen } from "./keyboard.js";
import { link } from "./links.js";
import { episodeCards } from "./lists.js";

export class LibraryPage {
  /** @param runs As the server lists them. @param episodes The same. */
  constructor(runs, episodes) {
    this.title = "Runs and episodes";
    const hint = h(
      "p.note",
      { id: "no-episodes" },
      runs.length
        ? "No game is recorded yet. Open a run and record one there, or with "
        : "Nothing is here yet. Train an agent, and record a game with ",
      h("code", {}, "rl-abn record RUN"),
      ".",
    );
    this.element = h(
      "main.page",
      { id: "main" },
      h("h1", {}, "Runs and episodes"),
      episodes.length ? null : hint,
      runs.length ? h("section", {}, h("h2", {}, "Runs"), runTable(runs, episodes)) : null,
      episodes.length ? h("section", {}, h("h2", {}, "Episodes"), episodeCards(episodes)) : null,
    );
  }

  goTo() {}

  enter() {
    this.stopKeys = listen({ "?": showHelp, "/": showHelp });
  }

  leave() {
    this.stopKeys();
  }
}

/** The first page of a file that holds more episodes than are shown side by side. */
export class ListPage {
  /** @param metas What is known of the episodes. */
  constructor(metas) {
    this.title = "Episodes";
    this.element = h(
      "main.page",
      { id: "main" },
      h("h1", {}, "Episodes"),
      h(
        "ul",
        {},
        metas.map((meta) =>
          h(
            "li",
            {},
            h("a", { href: link({ e: meta.id, t: 0 }) }, meta.title),
            ` · score ${number(meta.score)} · ${whole(meta.n_steps)} steps`,
          ),
        ),
      ),
    );
  }

  goTo() {}

  enter() {
    this.stopKeys = listen({ "?": showHelp, "/": showHelp });
  }

  leave() {
    this.stopKeys();
  }
}

function runTable(runs, episodes) {
  const count = (id) => episodes.filter(({ run }) => run === id).length;
  const heads = ["Run", "Game", "Agent", "Steps trained", "Checkpoints", "Episodes"];
  const rows = runs.map((run) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: link({ r: run.id }) }, run.path_label)),
      h("td", {}, run.env_title),
      h("td", {}, run.agent ?? "–"),
      h("td.number", {}, run.step == null ? "–" : whole(run.step)),
      h("td.number", {}, whole(run.checkpoints.length)),
      h("td.number", {}, whole(count(run.id))),
    ),
  );
  return h(
    "div.scroll",
    { tabindex: "0", role: "region", "aria-label": "Runs" },
    h(
      "table.list",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((text, i) => h(i > 2 ? "th.number" : "th", { scope: "col" }, text)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}
