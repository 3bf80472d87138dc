// A button that begins work which takes a while, and stops it.

import { h, say } from "./dom.js";

export class WorkButton {
  /**
   * @param tag As `h` takes it, such as "button.primary".
   * @param attributes Of the button.
   * @param text What it says while nothing is done.
   * @param work Does it: an async function of a signal that stops it, which throws nothing.
   * @param onrest Called when it is over.
   */
  constructor(tag, attributes, text, work, onrest = () => {}) {
    Object.assign(this, { text, work, onrest, running: null });
    this.element = h(tag, { type: "button", ...attributes, onclick: () => this.toggle() }, text);
  }

  /** Begins the work, or stops it. */
  async toggle() {
    if (this.running) {
      this.running.abort();
      return;
    }
    this.running = new AbortController();
    say(this.element, "Stop");
    await this.work(this.running.signal);
    this.running = null;
    say(this.element, this.text);
    this.onrest();
  }
}
