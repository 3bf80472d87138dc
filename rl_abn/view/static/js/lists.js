// Lists of runs and episodes, and small pictures of episodes.

import { blob, get } from "./api.js";
import { h } from "./dom.js";
import { number, whole, words } from "./format.js";
import { link } from "./links.js";

const THUMB_STEP = 40;

/**
 * Episodes as cards; two can be chosen to be watched side by side.
 *
 * @param episodes As the library lists them.
 */
export function episodeCards(episodes) {
  const chosen = new Set();
  const go = h("a.button.primary", { "aria-disabled": "true" }, "Watch two side by side");
  const update = () => {
    const [one, other] = chosen;
    const isReady = chosen.size === 2;
    go.setAttribute("aria-disabled", !isReady);
    if (isReady) go.href = link({ e: one, e2: other, t: 0 });
    else go.removeAttribute("href");
    go.textContent = isReady
      ? "Watch these two side by side"
      : chosen.size === 1
        ? "Choose one more to watch side by side"
        : "Choose two to watch side by side";
  };
  update();
  const cards = episodes.map((episode) => {
    const box = h("input", {
      type: "checkbox",
      "aria-label": `Choose ${episode.title}, ${episode.name}`,
      onchange: () => {
        if (box.checked) chosen.add(episode.id);
        else chosen.delete(episode.id);
        update();
      },
    });
    return h(
      "li.card",
      {},
      h(
        "a.picture",
        { href: link({ e: episode.id, t: 0 }), tabindex: "-1", "aria-hidden": "true" },
        thumbnail(episode),
      ),
      h(
        "div.about",
        {},
        h("h3", {}, h("a", { href: link({ e: episode.id, t: 0 }) }, episode.title)),
        h("p.facts", {}, factsOf(episode)),
        h("p.path", { title: episode.label }, episode.name ?? episode.label),
        h("label.check", {}, box, "side by side"),
      ),
    );
  });
  return h("div", {}, episodes.length > 1 ? h("p.choose", {}, go) : null, h("ul.cards", {}, cards));
}

function factsOf(episode) {
  const facts = [`score ${number(episode.score)}`, `${whole(episode.n_steps)} steps`];
  if (episode.intervention) facts.push(`map: ${words(episode.intervention)}`);
  if (episode.greedy) facts.push("greedy");
  if (episode.seed != null) facts.push(`seed ${episode.seed}`);
  if (episode.cut) facts.push("cut off");
  return facts.join(" · ");
}

/** A screen of an episode, drawn once it comes into sight. */
function thumbnail(episode) {
  const canvas = h("canvas.pixels", { width: 160, height: 210 });
  const seen = new IntersectionObserver(async ([entry]) => {
    if (!entry.isIntersecting) return;
    seen.disconnect();
    try {
      const path = `api/episodes/${encodeURIComponent(episode.id)}`;
      const [meta, sheet] = await Promise.all([get(path), blob(`${path}/sheets/0`)]);
      const [height, width] = meta.frame_size;
      const step = Math.min(THUMB_STEP, meta.n_steps - 1, meta.chunk_steps - 1);
      const [left, top] = [
        (step % meta.sheet_columns) * width,
        Math.floor(step / meta.sheet_columns) * height,
      ];
      Object.assign(canvas, { width, height });
      canvas
        .getContext("2d")
        .drawImage(await createImageBitmap(sheet, left, top, width, height), 0, 0);
    } catch {
      /* a list without a picture is still a list */
    }
  });
  seen.observe(canvas);
  return canvas;
}
