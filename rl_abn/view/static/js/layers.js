// What can be laid over the screen: the maps that the agent acted on, and the evidence for actions.

import { words } from "./format.js";

/**
 * The layers of an episode, each {id, label, short, kind, form, rows, columns, isStored}.
 *
 * The form is how it is drawn: "spatial", "bars" (weights of channels), "pairwise" (rows are places that
 * look, columns places that are looked at) or "steps" (one value a step of the past, the oldest first).
 * `isStored` says that its values are stored as they are, and can be edited: those of a map from its
 * value `offset` on.
 */
export function layersOf(meta) {
  const { maps, evidence } = meta.arrays;
  const layers = maps ? meta.map_names.flatMap((name, index) => layersOfMap(meta, name, index)) : [];
  if (evidence) {
    const [n, rows, columns] = evidence.shape;
    for (let index = 0; index < n; index++) {
      const name = meta.action_names[index] ?? "value";
      layers.push({
        id: `evidence-${index}`,
        label: `For ${name}`,
        short: name,
        kind: "evidence",
        name,
        form: "spatial",
        rows,
        columns,
        index,
        factor: 1,
        from: index * rows * columns,
        isStored: true,
      });
    }
  }
  return layers;
}

/** The layers of one map: the map, or what there is to see of one that lies on no screen. */
function layersOfMap(meta, name, index) {
  const [, rows, columns] = meta.arrays.maps.shape;
  const label = name === "shared" ? "Attention map" : `${capital(words(name))} map`;
  const first = index * rows * columns;
  const layer = (id, parts) => ({
    id: id ? `map-${name}-${id}` : `map-${name}`,
    label,
    short: label.replace(" map", ""),
    kind: "map",
    name,
    index,
    factor: meta.map_factor,
    from: first,
    isStored: false,
    ...parts,
    offset: (parts.from ?? first) - first,
  });
  const [height, width] = meta.map_places ?? placesOf(columns);
  const onScreen = { form: "spatial", rows: height, columns: width, nAveraged: rows };
  if (meta.map_kind === "pairwise" && rows % columns === 0) {
    const n = rows / columns;
    const pairs = { form: "pairwise", rows: columns, columns };
    const heads = parts(n, "Head", (i) => ({
      ...pairs,
      from: first + i * columns * columns,
      isStored: true,
    }));
    return [
      layer("", {
        ...pairs,
        nAveraged: n,
        isStored: n === 1,
        label: n > 1 ? "All heads" : label,
        short: n > 1 ? "All heads" : "From a place",
      }),
      ...heads.map(([id, own]) => layer(id, own)),
      layer("looked-at", { ...onScreen, label: "Looked at, from all places", short: "Looked at" }),
    ];
  }
  const isTemporal = meta.map_kind === "temporal";
  const length = meta.map_steps ?? (isTemporal && columns === 1 ? rows : null);
  if (length && columns === 1) {
    const n = rows / length;
    const steps = { form: "steps", rows: length, columns: 1 };
    const last = `last ${length} steps`;
    const all = n > 1 ? `All ${meta.map_part.toLowerCase()}s` : "Steps";
    const heads = parts(n, meta.map_part, (i) => ({
      ...steps,
      from: first + i * length,
      isStored: true,
    }));
    return [
      layer("", { ...steps, nAveraged: n, isStored: n === 1, short: all, label: `${all}, ${last}` }),
      ...heads.map(([id, own]) => layer(id, { ...own, label: `${own.label}, ${last}` })),
    ];
  }
  if (length) {
    const when = { form: "steps", rows: length, columns: 1, nSummed: columns, placesAt: [height, width] };
    return [
      layer("", { ...when, short: "When", label: `When, last ${length} steps` }),
      layer("where", { ...onScreen, label: "Where, in all steps", short: "Where" }),
    ];
  }
  if (isTemporal) {
    const one = { ...onScreen, nAveraged: 1, isStored: height * width === columns };
    const glimpses = parts(rows, "Glimpse", (i) => ({ ...one, from: first + i * columns }));
    return [layer("", { ...onScreen, short: "All" }), ...glimpses.map(([id, own]) => layer(id, own))];
  }
  if (meta.map_places) return [layer("", onScreen)];
  return [layer("", { form: columns === 1 ? "bars" : "spatial", rows, columns, isStored: true })];
}

/** Ids and what differs of each of several maps that lie below each other; none for a single one. */
function parts(n, word, part) {
  if (n === 1) return [];
  return Array.from({ length: n }, (_, i) => {
    const label = `${word} ${i + 1}`;
    return [`${word.toLowerCase()}-${i + 1}`, { ...part(i), label, short: label }];
  });
}

/** A layer's values at a step, [rows x columns], as they are drawn (map values times the factor). */
export function valuesOf(layer, arrays) {
  const { from, factor, nAveraged = 1, nSummed = 1 } = layer;
  const n = layer.rows * layer.columns;
  const all = arrays[layer.kind === "map" ? "maps" : "evidence"];
  let own = all.subarray(from, from + n * nAveraged * nSummed);
  if (nAveraged > 1 || nSummed > 1) {
    const stored = own;
    own = new Float32Array(n);
    // Means of what lies below each other; a step's places lie side by side.
    const at = nSummed > 1 ? (i) => Math.floor(i / nSummed) : (i) => i % n;
    stored.forEach((value, i) => (own[at(i)] += value / (nAveraged * nSummed)));
  }
  return factor === 1 ? own : own.map((value) => value * factor);
}

/** Height and width of what pairwise maps attend over. */
export function gridOf(layer, meta) {
  if (layer.form !== "pairwise") return [layer.rows, layer.columns];
  return meta.map_grid ?? meta.map_places ?? placesOf(layer.columns);
}

/** Height and width of n places of a square, or a row where they are none. */
function placesOf(n) {
  const side = Math.round(Math.sqrt(n));
  return side * side === n ? [side, side] : [1, n];
}

/** What a place attends to: its row of a pairwise map. */
export function rowOf(layer, values, place) {
  return values.subarray(place * layer.columns, (place + 1) * layer.columns);
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
