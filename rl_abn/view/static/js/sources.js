// Where an episode's data come from: the server, or the file that holds the page.

import { get, post, bytes, blob } from "./api.js";

/** An episode of the server. */
export class ServedEpisode {
  constructor(id) {
    this.id = id;
    this.path = `api/episodes/${encodeURIComponent(id)}`;
  }

  meta() {
    return get(this.path);
  }
  curves() {
    return get(`${this.path}/curves`);
  }
  highlights() {
    return get(`${this.path}/highlights`);
  }
  sheet(chunk) {
    return blob(`${this.path}/sheets/${chunk}`);
  }
  trace(chunk) {
    return bytes(`${this.path}/trace/${chunk}`);
  }
  ask(question, signal) {
    return post(`${this.path}/what-if`, question, signal);
  }
  futures(question) {
    return post(`${this.path}/futures`, question);
  }
  saveEdits(edits) {
    return post(`${this.path}/edits`, edits);
  }
  savedEdits() {
    return get(`${this.path}/edits`);
  }
  reliance() {
    return post(`${this.path}/reliance`, {});
  }
}

/** An episode that the page's own file holds. */
export class EmbeddedEpisode {
  constructor(held) {
    this.held = held;
    this.id = held.meta.id;
  }

  async meta() {
    return this.held.meta;
  }
  async curves() {
    return this.held.curves;
  }
  async highlights() {
    return this.held.highlights;
  }
  async sheet(chunk) {
    return new Blob([decoded(this.held.sheets[chunk])], { type: "image/png" });
  }
  async trace(chunk) {
    return decoded(this.held.traces[chunk]).buffer;
  }
}

/** The episodes that this file holds, or null where a server has them. */
export function embeddedEpisodes() {
  const held = document.getElementById("embedded");
  return (
    held && JSON.parse(held.textContent).episodes.map((episode) => new EmbeddedEpisode(episode))
  );
}

function decoded(base64) {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}
