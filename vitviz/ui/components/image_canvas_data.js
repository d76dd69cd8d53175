// Layers of the image canvas as vitviz/explain/canvas_layers.py packs them; the browser has inflated them already.

const LAYER_HEADER = 16;
const LABELS_MAGIC = "VZLB";
const HEAT_MAGIC = "VZHT";

/** Fetch a layer -> {steps, rows, columns, planes: one typed array a step}. */
async function fetchLayer(address, magic) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
  return readLayer(await answer.arrayBuffer(), magic);
}

function readLayer(buffer, magic) {
  const header = new DataView(buffer, 0, LAYER_HEADER);
  const found = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (found !== magic) throw new Error(`${found} where ${magic} was expected`);
  const [steps, rows, columns] = [4, 8, 12].map((place) => header.getUint32(place, true));
  const Values = magic === LABELS_MAGIC ? Uint16Array : Uint8Array;
  const values = new Values(buffer, LAYER_HEADER, steps * rows * columns);
  const planes = Array.from({ length: steps }, (_, step) => values.subarray(step * rows * columns, (step + 1) * rows * columns));
  if (magic === LABELS_MAGIC) addUp(planes);
  return { steps, rows, columns, planes };
}

/** Every step was packed as its difference to the one before, modulo 65536. */
function addUp(planes) {
  for (let step = 1; step < planes.length; step += 1) {
    const [before, now] = [planes[step - 1], planes[step]];
    for (let cell = 0; cell < now.length; cell += 1) now[cell] += before[cell];
  }
}

/** The cell of a layer under a place in 0..1 -> {row, column, index}. */
function cellAt({ rows, columns }, x, y) {
  const row = Math.min(Math.max(Math.floor(y * rows), 0), rows - 1);
  const column = Math.min(Math.max(Math.floor(x * columns), 0), columns - 1);
  return { row, column, index: row * columns + column };
}

/** "#rrggbb" -> [red, green, blue]. */
function parseColor(text) {
  return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
}

/** 256 colours between a few -> Uint8Array of 256 x 3. */
function colorRamp(colors) {
  const stops = colors.map(parseColor);
  const ramp = new Uint8Array(256 * 3);
  for (let level = 0; level < 256; level += 1) {
    const place = (level / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    for (let part = 0; part < 3; part += 1) {
      ramp[level * 3 + part] = Math.round(stops[low][part] + (place - low) * (stops[low + 1][part] - stops[low][part]));
    }
  }
  return ramp;
}

/** The labels and the heat of one canvas: fetched when their address is new, the old ones kept until the new are here. */
class Layers {
  /** `onArrival(problem)` is called after each fetch, with true when it failed. */
  constructor(onArrival) {
    Object.assign(this, { labels: null, heat: null, addresses: {}, pending: 0, onArrival });
  }

  take(data) {
    this.load("labels", data.labels_url, LABELS_MAGIC);
    this.load("heat", data.heat_url, HEAT_MAGIC);
  }

  /** Forget the layers that `data` has no more: what it has is not fetched again, and can be pointed at meanwhile. */
  drop(data) {
    for (const name of ["labels", "heat"]) {
      if (this.addresses[name] === data[`${name}_url`]) continue;
      this[name] = null;
      delete this.addresses[name];
    }
  }

  async load(name, address, magic) {
    if (this.addresses[name] === address) return;
    this.addresses[name] = address;
    if (!address) {
      this[name] = null;
      return;
    }
    this.pending += 1;
    const layer = await fetchLayer(address, magic).catch(() => null);
    this.pending -= 1;
    if (this.addresses[name] !== address) return; // a newer request has overtaken this one
    this[name] = layer;
    if (!layer) this.addresses[name] = null;
    this.onArrival(!layer);
  }

  steps() {
    return Math.max(this.labels?.steps ?? 1, this.heat?.steps ?? 1);
  }

  /** What ids are read from: the labels, or the cells of the heat where there are none. */
  grid() {
    return this.readsLabels() ? this.labels : this.heat;
  }

  readsLabels() {
    return this.labels !== null;
  }

  idAt(x, y, step) {
    const grid = this.grid();
    if (!grid) return -1;
    const { index } = cellAt(grid, x, y);
    return this.readsLabels() ? planeOf(this.labels, step)[index] : index;
  }

  /** The heat under a place in 0..1. */
  heatAt(x, y, step) {
    return planeOf(this.heat, step)[cellAt(this.heat, x, y).index] / 255;
  }
}

/** The values of a step; a layer of fewer steps keeps its last. */
function planeOf(layer, step) {
  return layer.planes[Math.min(step, layer.steps - 1)];
}
