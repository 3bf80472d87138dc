// The page of a run: curves, settings, checkpoints, episodes, and a new recording.

import { get, job, post } from "./api.js";
import { h, say } from "./dom.js";
import { number, whole, words } from "./format.js";
import { showHelp } from "./help.js";
import { listen } from "./keyboard.js";
import { link } from "./links.js";
import { episodeCards } from "./lists.js";
import { PictureList } from "./picturelist.js";
import { metricCharts } from "./metrics.js";

export class RunPage {
  static async open(id) {
    const [run, library] = await Promise.all([
      get(`api/runs/${encodeURIComponent(id)}`),
      get("api/library"),
    ]);
    const own = new Set(run.episodes);
    return new RunPage(
      id,
      run,
      library.episodes.filter((episode) => own.has(episode.id)),
      run.interventions ?? library.interventions ?? [],
    );
  }

  constructor(id, run, episodes, interventions) {
    Object.assign(this, { id, run, interventions });
    this.title = `${run.agent ?? run.name} on ${run.env_title}`;
    const facts = [run.label, run.status, ...run.origin]
      .filter(Boolean)
      .join(" · ");
    this.element = h(
      "main.page",
      { id: "main" },
      h("h1", {}, this.title),
      h("p.path", {}, facts),
      evaluationNote(run.evaluation),
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
    const none = h("p.note", {}, "No game is recorded yet.");
    const list = episodes.length ? episodeCards(episodes) : none;
    return [
      h("section", {}, h("h2", {}, "Episodes"), list),
      this.run.can_record === false
        ? null
        : h("section", {}, h("h2", {}, "Record a game"), this.recorder()),
    ];
  }

  recorder() {
    const { run } = this;
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
      this.interventions.map((name) => option(name, words(name))),
    );
    const seed = h("input", { type: "number", value: 0, min: 0 });
    const steps = h("input", { type: "number", value: 1000, min: 1, max: 10000 });
    const greedy = h("input", { type: "checkbox" });
    const button = h("button.primary", { type: "submit", id: "record" }, "Record");
    const progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Recording" });
    const said = h("p.said", { role: "status" });
    const field = (label, input) => h("label.field", {}, label, input);
    const record = async (event) => {
      event.preventDefault();
      button.disabled = true;
      progress.hidden = false;
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
        const result = await job(id, ({ done, of, message }) => {
          progress.value = of ? done / of : 0;
          say(said, message || "recording…");
        });
        const found = result?.episode ?? result?.id ?? result?.episodes?.[0];
        if (found) location.hash = link({ e: found, t: 0 });
      } catch (error) {
        say(said, error.message);
      }
      button.disabled = false;
      progress.hidden = true;
    };
    return h(
      "form.record",
      { onsubmit: record },
      h(
        "div.fields",
        {},
        field("Checkpoint", checkpoint),
        this.interventions.length ? field("Map", intervention) : null,
        field("Seed", seed),
        field("Steps at most", steps),
        h("label.check", {}, greedy, "likeliest actions only"),
      ),
      h("div.buttons", {}, button, progress),
      said,
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

/** The scores of an evaluation, where it says any. */
function evaluationNote(evaluation) {
  const score = evaluation?.score ?? evaluation?.intact?.score ?? evaluation?.mean;
  if (score == null) return null;
  const text =
    typeof score === "number"
      ? number(score)
      : `${number(score.value ?? score.mean)}${score.low != null ? ` [${number(score.low)}, ${number(score.high)}]` : ""}`;
  return h("p", {}, "Score of its evaluation: ", h("strong", {}, text));
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
