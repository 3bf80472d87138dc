// From which place a pairwise map is looked at: arrow keys on the picture move it.

/** Lets keys move the place that a MapView shows; `p` and Tab lead there. */
export class Pointing {
  constructor(map) {
    this.map = map;
    this.surface = map.picture.lines;
    this.surface.addEventListener("keydown", (event) => this.key(event));
    this.isOffered = false;
  }

  /** Offers it where there is a place to choose; takes it back where there is none. */
  offer(isWanted) {
    if (isWanted === this.isOffered) return;
    this.isOffered = isWanted;
    const { surface } = this;
    if (isWanted) {
      surface.tabIndex = 0;
      surface.setAttribute("role", "application");
      surface.setAttribute("aria-label", "Place that looks: arrows move it");
      surface.setAttribute("aria-describedby", this.map.readout.id);
      surface.removeAttribute("aria-hidden");
    } else {
      for (const name of ["tabindex", "role", "aria-label", "aria-describedby"]) surface.removeAttribute(name);
      surface.setAttribute("aria-hidden", "true");
    }
  }

  key(event) {
    if (!this.isOffered || this.map.isEdited || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const [rows, columns] = this.map.grid;
    const clamp = (value, n) => Math.min(Math.max(value, 0), n - 1);
    const [row, column] = [Math.floor(this.map.place / columns), this.map.place % columns];
    this.map.lookFrom([clamp(row + by[0], rows), clamp(column + by[1], columns)]);
  }
}
