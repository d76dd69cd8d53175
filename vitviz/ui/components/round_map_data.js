// The packed rounds, undone in plain loops, and questions about places. The format: vitviz/explain/round_map.py.

const HEADER_BYTES = 40;
const MAGIC = 0x4d525a56; // "VZRM"
const LARGEST = 65535;
const TEXT_STEPS = 999;
const MAX_VERTICES = 48;
const GRID_CELLS = 96;
const BOUND_BINS = 256;
const STRAY_SHARE = 0.003;

/** Fetch and decode a round map. Rejects when the address gives none. */
async function fetchRoundMap(address) {
  return decodeRoundMap(await fetchBytes(address));
}

/** Fetch one column of bytes (rounds x points), undoing the differences. */
async function fetchColumn(address, map) {
  const bytes = new Uint8Array(await fetchBytes(address));
  return Uint8Array.from(readPlanes(bytes, 0, map.numRounds * map.numPoints, 1, map.numPoints));
}

async function fetchBytes(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${response.status}`);
  return response.arrayBuffer();
}

/** Inflated buffer -> typed arrays: positions (rounds x points x 2), clusters (rounds x points), and one per point. */
function decodeRoundMap(buffer) {
  const header = new DataView(buffer);
  if (header.getUint32(0, true) !== MAGIC || header.getUint16(4, true) !== 1) throw new Error("unknown format");
  const [numRounds, numPoints, numClusters, numClasses] = [8, 12, 16, 20].map((at) => header.getUint32(at, true));
  const bytes = new Uint8Array(buffer, HEADER_BYTES);
  let offset = 0;
  const take = (count, numBytes, stride) => {
    const values = readPlanes(bytes, offset, count, numBytes, stride);
    offset += count * numBytes;
    return values;
  };
  const all = numRounds * numPoints;
  return {
    numRounds, numPoints, numClusters, numClasses,
    positions: interleave(take(all, 2, numPoints), take(all, 2, numPoints)),
    clusters: Uint16Array.from(take(all, header.getUint16(6, true), numPoints)),
    classes: Int32Array.from(take(numPoints, 2, 0), (value) => value - 1),
    ids: Int32Array.from(take(numPoints, 4, 1)),
    heldOut: Uint8Array.from(take(numPoints, 1, 0)),
  };
}

/** Join planes of bytes; with a stride, each value is a difference to the one `stride` before it. */
function readPlanes(bytes, offset, count, numBytes, stride) {
  const values = new Uint32Array(count);
  for (let byte = 0; byte < numBytes; byte += 1) {
    const plane = offset + byte * count;
    for (let i = 0; i < count; i += 1) values[i] |= bytes[plane + i] << (8 * byte);
  }
  if (stride > 0) {
    const mask = numBytes === 4 ? -1 : 2 ** (8 * numBytes) - 1;
    for (let i = stride; i < count; i += 1) values[i] = (values[i] + values[i - stride]) & mask;
  }
  return values;
}

function interleave(x, y) {
  const both = new Uint16Array(2 * x.length);
  for (let i = 0; i < x.length; i += 1) {
    both[2 * i] = x[i];
    both[2 * i + 1] = y[i];
  }
  return both;
}

/** The box [left, bottom, right, top] in 0..1 that holds nearly all points of every round: a few strays do not count. */
function mapBounds(map) {
  const [[left, right], [bottom, top]] = [axisBounds(map, 0), axisBounds(map, 1)];
  return [left, bottom, right, top];
}

function axisBounds({ positions, numRounds, numPoints }, axis) {
  let [low, high] = [BOUND_BINS, 0];
  const strays = Math.floor(numPoints * STRAY_SHARE);
  for (let round = 0; round < numRounds; round += 1) {
    const counts = new Uint32Array(BOUND_BINS);
    const start = 2 * round * numPoints + axis;
    for (let i = 0; i < numPoints; i += 1) counts[positions[start + 2 * i] >> 8] += 1;
    low = Math.min(low, binAfter(counts, strays));
    high = Math.max(high, BOUND_BINS - binAfter(counts.reverse(), strays));
  }
  return [low / BOUND_BINS, high / BOUND_BINS];
}

/** The first bin at which more than `strays` points have been counted. */
function binAfter(counts, strays) {
  let [bin, seen] = [0, counts[0]];
  while (seen <= strays && bin < counts.length - 1) seen += counts[(bin += 1)];
  return bin;
}

/** Places of one round: x, y, x, y ... as uint16. */
function placesOf(map, round) {
  return map.positions.subarray(2 * round * map.numPoints, 2 * (round + 1) * map.numPoints);
}

/** Points of one round by cells of a square grid: `order` lists points, `starts` where a cell's begin. */
function buildGrid(places) {
  const numPoints = places.length / 2;
  const cellOf = (i) => gridCell(places[2 * i + 1]) * GRID_CELLS + gridCell(places[2 * i]);
  const starts = new Uint32Array(GRID_CELLS * GRID_CELLS + 1);
  for (let i = 0; i < numPoints; i += 1) starts[cellOf(i) + 1] += 1;
  for (let cell = 0; cell < GRID_CELLS * GRID_CELLS; cell += 1) starts[cell + 1] += starts[cell];
  const next = starts.slice();
  const order = new Uint32Array(numPoints);
  for (let i = 0; i < numPoints; i += 1) order[next[cellOf(i)]++] = i;
  return { places, starts, order };
}

function gridCell(value) {
  return Math.min(GRID_CELLS - 1, Math.floor((value * GRID_CELLS) / (LARGEST + 1)));
}

/** The nearest accepted point within `radius` (0..1) of a place (0..1), or -1. */
function nearestPoint(grid, x, y, radius, accepts) {
  const [atX, atY, reach] = [x * LARGEST, y * LARGEST, radius * LARGEST];
  const clamp = (value) => gridCell(Math.max(0, Math.min(LARGEST, value)));
  let [best, bestDistance] = [-1, reach * reach];
  for (let row = clamp(atY - reach); row <= clamp(atY + reach); row += 1) {
    const first = grid.starts[row * GRID_CELLS + clamp(atX - reach)];
    const last = grid.starts[row * GRID_CELLS + clamp(atX + reach) + 1];
    for (let k = first; k < last; k += 1) {
      const i = grid.order[k];
      const distance = (grid.places[2 * i] - atX) ** 2 + (grid.places[2 * i + 1] - atY) ** 2;
      if (distance <= bestDistance && accepts(i)) [best, bestDistance] = [i, distance];
    }
  }
  return best;
}

/** Which points lie in a polygon, by the even-odd rule: the same operations as Python's `points_inside`. */
function pointsInside(places, polygon) {
  const inside = new Uint8Array(places.length / 2);
  const box = polygonBox(polygon);
  for (let i = 0; i < inside.length; i += 1) {
    const x = Math.fround(places[2 * i] / LARGEST);
    const y = Math.fround(places[2 * i + 1] / LARGEST);
    if (x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]) inside[i] = isInside(x, y, polygon) ? 1 : 0;
  }
  return inside;
}

function isInside(x, y, polygon) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i, i += 1) {
    const [x1, y1] = polygon[i];
    const [x0, y0] = polygon[j];
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) odd = !odd;
  }
  return odd;
}

function polygonBox(polygon) {
  const [xs, ys] = [polygon.map((vertex) => vertex[0]), polygon.map((vertex) => vertex[1])];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** At most 48 vertices on the 1000 x 1000 grid of addresses, so that a link selects the same points. */
function tidyPolygon(polygon) {
  const kept = polygon.slice();
  while (kept.length > MAX_VERTICES) kept.splice(smallestTriangle(kept), 1);
  const snap = (value) => Math.round(Math.min(1, Math.max(0, value)) * TEXT_STEPS) / TEXT_STEPS;
  return kept.map(([x, y]) => [snap(x), snap(y)]);
}

function smallestTriangle(polygon) {
  let [best, bestArea] = [0, Infinity];
  for (let i = 0; i < polygon.length; i += 1) {
    const [x, y] = polygon[i];
    const [x0, y0] = polygon.at(i - 1);
    const [x1, y1] = polygon[(i + 1) % polygon.length];
    const area = Math.abs((x0 - x) * (y1 - y) - (y0 - y) * (x1 - x));
    if (area < bestArea) [best, bestArea] = [i, area];
  }
  return best;
}
