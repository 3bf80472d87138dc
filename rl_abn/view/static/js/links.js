// What the address says: #e=EPISODE&t=412, #e=ONE&e2=OTHER&t=412, #r=RUN, #v=RUN&part=learned&t=3 for
// pictures, or nothing: the library.

/** The parts of the address after "#", by name. */
export function readLink() {
  const found = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const step = Number.parseInt(found.t, 10);
  return { ...found, t: step > 0 ? step : 0 };
}

/** An address within the page. */
export function link(parts) {
  const kept = Object.entries(parts).filter(([, value]) => value != null);
  return `#${new URLSearchParams(kept)}`;
}

/** Keeps the step in the address, once it rests: browsers allow few changes a second. */
export function stepKeeper() {
  let waiting = null;
  const keep = (step) => {
    clearTimeout(waiting);
    waiting = setTimeout(
      () => history.replaceState(null, "", link({ ...readLink(), t: step })),
      250,
    );
  };
  return { keep, stop: () => clearTimeout(waiting) };
}
