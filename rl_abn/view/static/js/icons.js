// Icons of the player: drawn, since few fonts have them.

import { svg } from "./dom.js";

const PATHS = {
  first: "M3 3h2v10H3zM13 3v10L6 8z",
  back: "M11 3v10L4 8z",
  play: "M4 2.5v11l9-5.5z",
  pause: "M3.5 3h3v10h-3zM9.5 3h3v10h-3z",
  on: "M5 3v10l7-5z",
  last: "M11 3h2v10h-2zM3 3v10l7-5z",
  highest_advantage: "M8 3l5.5 10h-11z",
  lowest_advantage: "M8 13L2.5 3h11z",
  life_lost: "M8 14L2.6 8.4A3.4 3.4 0 0 1 8 4.3a3.4 3.4 0 0 1 5.4 4.1z",
  reward: "M8 3.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z",
  change_of_mind: "M8 2l5.5 6L8 14L2.5 8z",
  map_value_disagree: "M3.5 3.5h9v9h-9z",
  end: "M6.5 2h3v12h-3z",
};

/** An icon by name; it takes the colour of the text around it. */
export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 16 16", width: 14, height: 14, fill: "currentColor", "aria-hidden": "true" },
    svg("path", { d: PATHS[name] ?? PATHS.reward }),
  );
}
