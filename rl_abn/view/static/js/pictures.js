// Pictures of a vision run, to be looked at like the steps of a game.

import { blob, get, post } from "./api.js";

export const PARTS = { held_out: "Held out", learned: "Learned from" };
const KEPT = 64;

/** What WhatIf asks of pictures. */
class PictureSource {
  constructor(run, part) {
    Object.assign(this, { run, part, path: pathOf(run, part) });
  }

  look(number) {
    return get(`${this.path}/${number}`);
  }

  picture(number) {
    return blob(`${this.path}/${number}/picture`);
  }

  async ask({ step, ...question }, signal) {
    if (!Object.keys(question).length) {
      const own = said(await this.look(step));
      return { ...own, own };
    }
    const answer = await post(`${this.path}/${step}/what-if`, question, signal);
    return { ...said(answer), own: said(answer.own) };
  }

  saveEdits({ name, items }) {
    const numbered = items.map(({ step, map }) => ({ number: step, map }));
    return post(`${pathOf(this.run)}/edits`, { name, items: numbered });
  }
}

/** The pictures of one part of a vision run, with what an Episode has. */
export class PictureEpisode {
  /** @param run Its id. @param part "held_out" or "learned". @param number Of the first picture. */
  static async open(run, part, number) {
    const info = await get(pathOf(run));
    if (!info.parts[part])
      throw new Error(`expected pictures of ${Object.keys(info.parts)}, got '${part}'`);
    const source = new PictureSource(run, part);
    const first = await source.look(Math.min(number, info.parts[part] - 1));
    return new PictureEpisode(source, metaOf(info, part, first));
  }

  constructor(source, meta) {
    Object.assign(this, {
      source,
      meta,
      id: meta.id,
      nSteps: meta.n_steps,
      curves: {},
      highlights: [],
    });
    [this.height, this.width] = meta.frame_size;
    this.shown = new Map();
  }

  /** A picture as {step, frame, arrays, name, line, right}. */
  async step(number) {
    if (!this.shown.has(number)) this.keep(number, await this.read(number));
    return this.shown.get(number);
  }

  stepNow(number) {
    return this.shown.get(number) ?? null;
  }

  prefetch(number) {
    if (number + 1 < this.nSteps) this.step(number + 1).catch(() => {});
  }

  keep(number, shown) {
    this.shown.set(number, shown);
    if (this.shown.size > KEPT) this.shown.delete(this.shown.keys().next().value);
  }

  async read(number) {
    const [answer, png] = await Promise.all([
      this.source.look(number),
      this.source.picture(number),
    ]);
    const picture = await createImageBitmap(png, { colorSpaceConversion: "none" });
    const context = new OffscreenCanvas(this.width, this.height).getContext("2d");
    context.drawImage(picture, 0, 0);
    const frame = context.getImageData(0, 0, this.width, this.height);
    return { step: number, frame, arrays: this.arraysOf(answer), ...answer };
  }

  arraysOf({ maps, outputs, branch_outputs: branch, target }) {
    const { map_names: names, kind } = this.meta;
    const arrays = { probabilities: outputs, branch_probabilities: branch };
    if (names.length) arrays.maps = Float32Array.from(names.flatMap((name) => maps[name].flat()));
    if (kind === "classes") arrays.action = target;
    else arrays.truth = target;
    return arrays;
  }
}

/** Where the server has a run's pictures, or those of a part. */
export function pathOf(run, part) {
  return ["api/vision", run, part].filter(Boolean).map(encodeURI).join("/");
}

function said(answer) {
  return { ...answer, probabilities: answer.outputs, value: null, kl: null };
}

/** What is known of the pictures, as of an episode. */
function metaOf(info, part, first) {
  const arrays = { probabilities: {} };
  if (first.branch_outputs) arrays.branch_probabilities = {};
  if (info.kind !== "classes") arrays.truth = {};
  if (info.map_names.length) arrays.maps = { shape: [info.map_names.length, ...info.map_size] };
  return {
    ...info,
    part,
    arrays,
    run: info.id,
    title: `${info.agent} on ${info.env}: ${PARTS[part].toLowerCase()}`,
    n_steps: info.parts[part],
    fps: 2,
    frame_size: info.picture_size,
    action_names: info.outputs,
    seen_rows: null,
    objects: [],
    can_ask: info.map_names.length > 0,
    can_save: part === "learned",
  };
}
