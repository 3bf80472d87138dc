// An episode: any step's screen and arrays, read by chunk. The chunks read last are kept.

import { readTensors } from "./safetensors.js";

const KEPT = 8;
const PAUSE_MS = 60;

export class Episode {
  /** Reads what is known of an episode; `source` is one of sources.js, `first` the step shown first. */
  static async open(source, first) {
    const [curves, highlights] = [source.curves(), source.highlights()];
    for (const promise of [curves, highlights]) promise.catch(() => {}); // said below, where it is awaited
    const episode = new Episode(source, await source.meta());
    episode.step(Math.min(first, episode.nSteps - 1)).catch(() => {});
    return Object.assign(episode, { curves: await curves, highlights: await highlights });
  }

  constructor(source, meta) {
    Object.assign(this, { source, meta, id: source.id, nSteps: meta.n_steps });
    [this.height, this.width] = meta.frame_size;
    this.sheets = new Map();
    this.traces = new Map();
    const scratch = new OffscreenCanvas(this.width, this.height);
    this.scratch = scratch.getContext("2d", { willReadFrequently: true });
    this.scratch.imageSmoothingEnabled = false;
  }

  /** The screen before a step's action, as ImageData, and the step's arrays by name. */
  async step(step) {
    const chunk = this.chunkOf(step);
    const [sheet, trace] = await Promise.all([this.sheet(chunk), this.trace(chunk)]);
    // A sheet that was let go while its trace was read has no width left.
    return sheet.width ? this.cut(step, sheet, trace) : this.step(step);
  }

  /** The same where its chunk is in memory, else null. */
  stepNow(step) {
    const chunk = this.chunkOf(step);
    const sheet = this.sheets.get(chunk)?.value;
    const trace = this.traces.get(chunk)?.value;
    return sheet && trace ? this.cut(step, sheet, trace) : null;
  }

  /** Reads the chunks beside a step's, once no other is asked for: a fast hand comes first. */
  prefetch(step) {
    const chunk = this.chunkOf(step);
    if (chunk === this.near) return;
    this.near = chunk;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.readBeside(chunk), PAUSE_MS);
  }

  readBeside(chunk) {
    for (const next of [chunk + 1, chunk - 1]) {
      if (next < 0 || next >= this.meta.n_chunks) continue;
      this.sheet(next).catch(() => {});
      this.trace(next).catch(() => {});
    }
  }

  chunkOf(step) {
    return Math.floor(step / this.meta.chunk_steps);
  }

  sheet(chunk) {
    return kept(
      this.sheets,
      chunk,
      async () => {
        const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
        return createImageBitmap(await this.source.sheet(chunk), options);
      },
      (sheet) => sheet.close(),
    );
  }

  trace(chunk) {
    return kept(this.traces, chunk, async () => readTensors(await this.source.trace(chunk)));
  }

  cut(step, sheet, trace) {
    const { chunk_steps: perChunk, sheet_columns: columns } = this.meta;
    const at = step % perChunk;
    const [left, top] = [(at % columns) * this.width, Math.floor(at / columns) * this.height];
    this.scratch.drawImage(
      sheet,
      left,
      top,
      this.width,
      this.height,
      0,
      0,
      this.width,
      this.height,
    );
    const arrays = {};
    for (const [name, { shape, data }] of Object.entries(trace)) {
      const size = shape.slice(1).reduce((product, side) => product * side, 1);
      arrays[name] = shape.length === 1 ? data[at] : data.subarray(at * size, (at + 1) * size);
    }
    return { step, frame: this.scratch.getImageData(0, 0, this.width, this.height), arrays };
  }
}

/** What was read last under a key, or reads it. The oldest is let go. */
function kept(cache, key, read, letGo = () => {}) {
  let entry = cache.get(key);
  if (entry) {
    cache.delete(key);
    cache.set(key, entry);
  } else {
    entry = { value: null };
    entry.promise = read().then((value) => (entry.value = value));
    entry.promise.catch(() => cache.delete(key));
    cache.set(key, entry);
    if (cache.size > KEPT) {
      const [oldest, { promise }] = cache.entries().next().value;
      cache.delete(oldest);
      promise.then(letGo, () => {});
    }
  }
  return entry.promise;
}
