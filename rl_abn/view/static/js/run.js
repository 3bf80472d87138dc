// The page of a run: curves, settings, checkpoints, episodes, and a new recording.

import { get, job, post } from "./api.js";
import { fill, h, say } from "./dom.js";
import { number, whole, words } from "./format.js";
import { showHelp } from "./help.js";
import { listen } from "./keyboard.js";
import { link } from "./links.js";
import { episodeCards } from "./lists.js";
import { PictureList } from "./picturelist.js";
import { metricCharts } from "./metrics.js";
import { WorkButton } from "./workbutton.js";

export class RunPage {
  static async open(id) {
    const [run, library] = await Promise.all([
      get(`api/runs/${encodeURIComponent(id)}`),
      get("api/library"),
    ]);
    const own = new Set(run.episodes);
    const episodes = library.episodes.filter((episode) => own.has(episode.id));
    return new RunPage(id, run, episodes);
  }

  constructor(id, run, episodes) {
    Object.assign(this, { id, run, isShown: false });
    this.title = `${run.agent ?? run.name} on ${run.env_title}`;
    const facts = [run.label, run.status, ...run.origin]
      .filter(Boolean)
      .join(" · ");
    this.element = h(
      "main.page",
      { id: "main" },
      h("h1", {}, this.title),
      h("p.path", {}, facts),
      run.track === "rl" ? scores(run) : null,
      certificate(id, run.certificate),
      sheets(id, run),
      run.has_pictures ? picturesOf(id) : null,
      run.track === "rl" ? this.games(episodes) : null,
      h("section", {}, h("h2", {}, "Curves of the training"), metricCharts(run.curves)),
      h(
        "section",
        {},
        h("h2", {}, "Checkpoints"),
        h(
          "p",
          {},
          run.checkpoints.length ? run.checkpoints.map((step) => whole(step)).join(", ") : "none",
          run.best != null ? ` (best: ${whole(run.best)})` : "",
        ),
      ),
      h(
        "section",
        {},
        h("h2", {}, "Settings"),
        h(
          "div.settings-tables",
          {},
          Object.entries(run.settings).map(([name, table]) => settingsTable(name, table)),
        ),
      ),
    );
  }

  /** What is recorded, and what can be. */
  games(episodes) {
    const none = this.run.is_shipped
      ? "This agent ships with rl-abn and stays as it came. Its games and edits are kept in a copy of it below runs/."
      : "No game is recorded yet.";
    const list = episodes.length ? episodeCards(episodes) : h("p.note", {}, none);
    return [
      h("section", {}, h("h2", {}, "Episodes"), list),
      this.run.can_record === false
        ? null
        : h("section", {}, h("h2", {}, "Record a game"), this.recorder()),
    ];
  }

  /** Whether a game is being recorded: the page is kept until it is. */
  get isBusy() {
    return Boolean(this.record?.running);
  }

  recorder() {
    const { run } = this;
    const { interventions, record_steps: limit } = run;
    const option = (value, text) => h("option", { value }, text);
    const checkpoint = h(
      "select",
      {},
      option("", "the last"),
      run.best != null ? option("best", "the best") : null,
      [...run.checkpoints].reverse().map((step) => option(step, whole(step))),
    );
    const intervention = h(
      "select",
      {},
      option("", "its own"),
      interventions.map((name) => option(name, words(name))),
    );
    const seed = h("input", { type: "number", value: 0, min: 0 });
    const steps = h("input", { type: "number", value: limit.value, min: 1, max: limit.most });
    const greedy = h("input", { type: "checkbox" });
    const progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Recording" });
    const said = h("p.said", { role: "status" });
    const field = (label, input) => h("label.field", {}, label, input);
    const record = async (signal) => {
      progress.hidden = false;
      progress.value = 0;
      try {
        const asked = {
          checkpoint:
            checkpoint.value === "best"
              ? "best"
              : checkpoint.value
                ? Number(checkpoint.value)
                : null,
          seed: Number(seed.value),
          intervention: intervention.value || null,
          greedy: greedy.checked,
          max_steps: Number(steps.value),
        };
        const { job: id } = await post(`api/runs/${encodeURIComponent(this.id)}/record`, asked);
        const onchange = ({ done, of, message }) => {
          progress.value = of ? done / of : 0;
          say(said, message || "recording…");
        };
        const game = await job(id, onchange, signal);
        const href = link({ e: game.episode, t: 0 });
        const what = `Recorded: score ${number(game.score)}, ${whole(game.n_steps)} steps. `;
        fill(said, what, h("a", { href }, "Watch it"));
        // Whoever has gone to another page meanwhile is not taken away from it.
        if (this.isShown) location.hash = href;
      } catch (error) {
        say(said, error.message);
      }
      progress.hidden = true;
    };
    this.record = new WorkButton("button.primary", { id: "record" }, "Record", record);
    const onkeydown = ({ key, target }) => {
      if (key === "Enter" && target.matches("input") && !this.isBusy) this.record.toggle();
    };
    return h(
      "form.record",
      { onkeydown, onsubmit: (event) => event.preventDefault() },
      h(
        "div.fields",
        {},
        field("Checkpoint", checkpoint),
        interventions.length ? field("Map", intervention) : null,
        field("Seed", seed),
        field("Steps at most", steps),
        h("label.check", {}, greedy, "likeliest actions only"),
      ),
      h("div.buttons", {}, this.record.element, progress),
      said,
    );
  }

  goTo() {}

  enter() {
    this.isShown = true;
    this.stopKeys = listen({ "?": showHelp, "/": showHelp });
  }

  leave() {
    this.isShown = false;
    this.stopKeys();
  }
}

/** The sheets that were drawn, the newest first; a detector without one says how to draw it. */
function sheets(id, { track, has_pictures: hasPictures, sheets: names = [], label }) {
  const section = (...content) =>
    h("section", { id: "sheets" }, h("h2", {}, "Sheets of pictures"), content);
  if (!names.length) {
    if (track !== "vision" || hasPictures) return null;
    const record = h("code", {}, `rl-abn vision record ${label}`);
    return section(h("p.note", {}, "No sheet is drawn yet: ", record));
  }
  const path = (name) => `api/runs/${encodeURIComponent(id)}/sheets/${encodeURIComponent(name)}`;
  const picture = h("img", {});
  const whole = h("a.sheet-picture", { title: "The sheet alone, as large as it is" }, picture);
  const show = (name) => {
    picture.src = whole.href = path(name);
    picture.alt = `Sheet ${name}`;
  };
  const newestFirst = [...names].reverse();
  const options = newestFirst.map((name) =>
    h("option", { value: name }, name.replace(/\.png$/, "")),
  );
  const choose = h("select", { onchange: ({ target }) => show(target.value) }, options);
  show(newestFirst[0]);
  return section(
    names.length > 1 ? h("label.field", {}, "Sheet", choose) : null,
    whole,
  );
}

function picturesOf(id) {
  return h("section", {}, h("h2", {}, "Pictures"), new PictureList(id).element);
}

/** The five lines of the newest explanation, where there is one. */
function certificate(id, found) {
  if (!found) return null;
  const page = `api/runs/${encodeURIComponent(id)}/explanation`;
  return h(
    "section",
    { id: "certificate" },
    h("h2", {}, "What is known of its map"),
    h(
      "dl",
      {},
      found.lines.map(({ asks, verdict, text }) => [
        h("dt", {}, `${asks} `, h(`span.verdict.${verdict.replace(" ", "-")}`, {}, verdict)),
        h("dd", {}, text),
      ]),
    ),
    found.page
      ? h("p", {}, h("a", { href: page, download: "" }, "Save the whole report"))
      : null,
  );
}

/** What its agent scored, a row for each evaluation. */
function scores({ scores: found, label }) {
  const section = (...content) => h("section", { id: "scores" }, h("h2", {}, "Scores"), content);
  if (!found.length)
    return section(h("p.note", {}, "Not evaluated yet: ", h("code", {}, `rl-abn eval ${label}`)));
  const rows = found.map((score) => {
    const { value, low, high } = score.mean;
    const interval = low == null ? "" : ` [${number(low)}, ${number(high)}]`;
    const cut = score.max_steps == null ? "" : `, of ${whole(score.max_steps)} steps at most`;
    const best = score.while_training ? " (the best while it trained)" : "";
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, `${number(value)}${interval}`),
      h("td", {}, `${whole(score.n_games)}${cut}`),
      h("td", {}, score.protocol),
      h("td", {}, score.greedy ? "the likeliest" : "drawn"),
      h("td", {}, `${whole(score.step)}${best}`),
    );
  });
  const heads = ["Mean score", "Games", "Protocol", "Actions", "Checkpoint"];
  return section(
    h(
      "div.scroll",
      { tabindex: "0", role: "region", "aria-label": "Scores" },
      h(
        "table.list",
        {},
        h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, rows),
      ),
    ),
    h("p.note", {}, "Raw scores, with 95% intervals over the games."),
  );
}

/** A setting as text: {"kind": "linear", "start": 1} is "linear, start 1". */
function said(value) {
  if (Array.isArray(value)) return value.map(said).join(", ");
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([name, part]) => (name === "kind" ? said(part) : `${name} ${said(part)}`))
    .join(", ");
}

function settingsTable(name, table) {
  const rows = Object.entries(table).map(([field, value]) =>
    h("tr", {}, h("th", { scope: "row" }, field), h("td", {}, said(value))),
  );
  return h(
    "details",
    { open: name !== "run" },
    h("summary", {}, name),
    h("table.list.compact", {}, h("tbody", {}, rows)),
  );
}
