// Keys on bars while their map is edited: arrows choose one, and raise or lower it.

const STEP = 0.1;
const LABEL = "Bars to edit: left and right choose one, up and down raise and lower it";

export class BarKeys {
  /** @param painter A Painter, whose map may have bars. */
  constructor(painter) {
    Object.assign(this, { painter, map: painter.map });
    this.map.bars.addEventListener("keydown", (event) => this.key(event));
    this.map.bars.addEventListener("blur", () => this.choose(null));
  }

  turn(isOn) {
    const { bars } = this.map;
    if (isOn) bars.tabIndex = 0;
    else bars.removeAttribute("tabindex");
    bars.setAttribute("role", isOn ? "application" : "img");
    this.map.barsTask = isOn ? LABEL : "";
    this.map.chosenBar = null;
  }

  choose(i) {
    const { map } = this;
    if (map.chosenBar === i) return;
    map.chosenBar = i;
    map.refresh();
    map.sayBar(i ?? -1);
  }

  key(event) {
    const { map, painter } = this;
    if (!painter.isOn || !map.isBars || !map.layer.isStored) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { length: n } = map.values;
    const i = map.chosenBar ?? n - 1;
    const next = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: n - 1 }[event.key];
    const by = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
    if (next !== undefined) {
      // The first arrow shows which bar keys are about.
      const at = map.chosenBar === null && event.key.startsWith("Arrow") ? i : next;
      this.choose(Math.min(Math.max(at, 0), n - 1));
    } else if (by !== undefined) {
      this.choose(i);
      this.raise(i, by);
    } else return;
    event.preventDefault();
  }

  /** Adds a share of the whole scale to a bar, within it. */
  raise(i, by) {
    const { map, painter } = this;
    const { edit, whole } = painter;
    const at = painter.offset + i;
    edit.begin();
    const change = (value) => Math.min(Math.max(value + by * whole, 0), whole);
    edit.each(map.layer.name, change, [at, at + 1]);
    painter.onchange();
    map.refresh();
    map.sayBar(i);
  }
}
