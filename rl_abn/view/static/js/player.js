// Which step is shown, and how it goes on: play, pause, speed, exact steps.

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

export class Player {
  /** @param nSteps Steps there are. @param fps Steps in a second of play. */
  constructor(nSteps, fps) {
    Object.assign(this, { nSteps, fps, step: 0, speed: 1, isPlaying: false, listeners: [] });
  }

  /** Calls `listener(step)` on every change. */
  onchange(listener) {
    this.listeners.push(listener);
  }

  seek(step) {
    const next = Math.min(Math.max(Math.round(step), 0), this.nSteps - 1);
    if (next === this.step || Number.isNaN(next)) return;
    this.step = next;
    this.tell();
  }

  /** Steps on by n, and pauses. */
  by(n) {
    this.pause();
    this.seek(this.step + n);
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  play() {
    if (this.isPlaying) return;
    if (this.step === this.nSteps - 1) this.seek(0);
    this.isPlaying = true;
    let [last, due] = [null, 0];
    const tick = (now) => {
      if (!this.isPlaying) return;
      if (last !== null) due += (Math.min(now - last, 250) / 1000) * this.fps * this.speed;
      last = now;
      const whole = Math.floor(due);
      due -= whole;
      if (whole) this.seek(this.step + whole);
      if (this.step === this.nSteps - 1) this.pause();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    this.tell();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.tell();
  }

  /** Takes the next faster (+1) or slower (-1) speed. */
  faster(by) {
    const at = SPEEDS.indexOf(this.speed) + by;
    this.speed = SPEEDS[Math.min(Math.max(at, 0), SPEEDS.length - 1)];
    this.tell();
  }

  tell() {
    for (const listener of this.listeners) listener(this.step);
  }
}
