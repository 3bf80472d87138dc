// Which page the address asks for.

import { get } from "./api.js";
import { h, fill } from "./dom.js";
import { Compare } from "./compare.js";
import { Episode } from "./episode.js";
import { showHelp } from "./help.js";
import { PictureEpisode } from "./pictures.js";
import { LibraryPage, ListPage } from "./library.js";
import { link, readLink } from "./links.js";
import { RunPage } from "./run.js";
import { embeddedEpisodes, ServedEpisode } from "./sources.js";
import { Viewer } from "./viewer.js";

const KEPT_PAGES = 4;
const embedded = embeddedEpisodes();
const pages = new Map();
const root = document.getElementById("app");
const title = h("span.title", {});
const crumb = h("a.crumb", { href: "#", hidden: true }, "run");
let current = null;
let asked = 0;

root.append(
  h(
    "header",
    {},
    h("a.brand", { href: "#", "aria-label": "rl-abn: runs and episodes" }, "rl-abn"),
    crumb,
    title,
    h("span.spacer", {}),
    h(
      "button.icon",
      { type: "button", id: "help", "aria-label": "Keys", title: "Keys (?)", onclick: showHelp },
      "?",
    ),
  ),
  h("main.page", { id: "main" }, h("p.note", { role: "status" }, "Loading…")),
);

/** Shows the page of an address. */
async function route() {
  const place = readLink();
  const turn = ++asked;
  const [key, open] = pageOf(place);
  if (current?.key === key) return current.page.goTo(place.t);
  let page = pages.get(key);
  if (!page) {
    try {
      page = await open();
    } catch (error) {
      page = failed(error);
    }
    if (turn !== asked) return undefined;
  } else page.goTo(place.t);
  if (current) keep(current.key, current.page);
  keep(key, page);
  current?.page.leave();
  current = { key, page };
  document.getElementById("main").replaceWith(page.element);
  page.enter();
  document.title = `${page.title} · rl-abn`;
  fill(title, page.title);
  const run = embedded ? null : page.episode?.meta.run;
  crumb.hidden = !run;
  if (run) Object.assign(crumb, { href: link({ r: run }), textContent: "run" });
  document.body.dataset.page = key;
  return undefined;
}

function pageOf(place) {
  const [first, second] = embedded ?? [];
  const e = place.e ?? first?.id;
  const isPair = embedded?.length === 2 && !place.e;
  const e2 = place.e2 ?? (isPair ? second.id : undefined);
  if (e && e2)
    return [
      `e:${e}:${e2}`,
      async () =>
        new Compare(await Promise.all([opened(e, place.t), opened(e2, place.t)]), place.t),
    ];
  if (embedded?.length > 2 && !place.e)
    return [
      "list",
      async () => new ListPage(await Promise.all(embedded.map((episode) => episode.meta()))),
    ];
  if (e) return [`e:${e}`, async () => new Viewer(await opened(e, place.t), place.t)];
  if (place.v) {
    const { v, part = "held_out", t } = place;
    const open = async () => new Viewer(await PictureEpisode.open(v, part, t), t);
    return [`e:${v}:${part}`, open];
  }
  if (place.r) return [`r:${place.r}`, () => RunPage.open(place.r)];
  return ["library", () => openLibrary(place.t)];
}

/** What is served: a list, or the one episode or run that there is. */
async function openLibrary(step) {
  const { runs, episodes } = await get("api/library");
  if (!runs.length && episodes.length === 1)
    return new Viewer(await opened(episodes[0].id, step), step);
  if (runs.length === 1 && episodes.every(({ run }) => run === runs[0].id))
    return RunPage.open(runs[0].id);
  return new LibraryPage(runs, episodes);
}

function opened(id, step) {
  const source = embedded ? embedded.find((episode) => episode.id === id) : new ServedEpisode(id);
  if (!source) throw new Error(`expected an episode of this file, got '${id}'`);
  return Episode.open(source, step);
}

/** Keeps pages of episodes, with what was edited in them, and those where work goes on. */
function keep(key, page) {
  pages.delete(key);
  if ((key.startsWith("e:") && page.player) || page.isBusy) pages.set(key, page);
  if (pages.size > KEPT_PAGES) pages.delete(pages.keys().next().value);
}

function failed(error) {
  const element = h(
    "main.page",
    { id: "main" },
    h("h1", {}, "This cannot be shown"),
    h("p", { role: "alert" }, error.message),
    embedded ? null : h("p", {}, h("a", { href: "#" }, "Runs and episodes")),
  );
  return { title: "Not there", element, goTo() {}, enter() {}, leave() {} };
}

window.addEventListener("hashchange", route);
route();
