// What can be laid over the screen: the maps that the agent acted on, and the evidence for actions.

import { words } from "./format.js";

/**
 * The layers of an episode, each {id, label, short, kind, form, rows, columns, index}. The form is how it
 * is drawn: "spatial", "bars" (channels, steps of the past) or "pairwise".
 */
export function layersOf(meta) {
  const layers = [];
  const maps = meta.arrays.maps;
  if (maps && meta.map_names.length) {
    const { form, rows, columns, nAveraged } = formOf(meta);
    meta.map_names.forEach((name, index) => {
      const label = name === "shared" ? "Attention map" : `${capital(words(name))} map`;
      layers.push({
        id: `map-${name}`,
        label,
        short: label.replace(" map", ""),
        kind: "map",
        name,
        form,
        rows,
        columns,
        index,
        factor: meta.map_factor,
        nAveraged,
      });
    });
  }
  const evidence = meta.arrays.evidence;
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
        nAveraged: 1,
      });
    }
  }
  return layers;
}

/**
 * How maps are drawn. Those with a map of the frame for each of many channels, heads or past steps are
 * drawn as the mean of these, but for pairwise ones of a single head.
 */
function formOf(meta) {
  const [, rows, columns] = meta.arrays.maps.shape;
  if (meta.map_kind === "pairwise" && rows === columns) return { form: "pairwise", rows, columns, nAveraged: 1 };
  if (meta.map_places) {
    const [height, width] = meta.map_places;
    return { form: "spatial", rows: height, columns: width, nAveraged: rows };
  }
  return { form: columns === 1 ? "bars" : "spatial", rows, columns, nAveraged: 1 };
}

/** A layer's values at a step, [rows x columns], as they are drawn (map values times the factor). */
export function valuesOf(layer, arrays) {
  const n = layer.rows * layer.columns;
  const size = n * layer.nAveraged;
  const all = arrays[layer.kind === "map" ? "maps" : "evidence"];
  let own = all.subarray(layer.index * size, (layer.index + 1) * size);
  if (layer.nAveraged > 1) {
    const parts = own;
    own = new Float32Array(n);
    parts.forEach((value, i) => (own[i % n] += value / layer.nAveraged));
  }
  return layer.factor === 1 ? own : own.map((value) => value * layer.factor);
}

/** Height and width of what pairwise maps attend over. */
export function gridOf(layer, meta) {
  if (layer.form !== "pairwise") return [layer.rows, layer.columns];
  if (meta.map_grid) return meta.map_grid;
  const side = Math.round(Math.sqrt(layer.columns));
  return side * side === layer.columns ? [side, side] : [1, layer.columns];
}

/** What a place attends to: its row of a pairwise map. */
export function rowOf(layer, values, place) {
  return values.subarray(place * layer.columns, (place + 1) * layer.columns);
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
