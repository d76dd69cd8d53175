// What a point's colour says: a scheme gives each point a code, each code a colour, and the entries of the legend.

const BINS = 5;
// From what a random map comes to, to a faithful one; a good map lies close to 1, so that end is drawn out.
const RANDOM_TO_FAITHFUL = { low: 0.5, power: 3, digits: 3 };
const EVEN = { low: 0, power: 1, digits: 1 };
const ALPHA = 0.82;
const DIMMED_ALPHA = 0.15;

/** The scheme of that name at a round -> {codes, colors, entries: [{label, color, count}], entryOf: code -> entry}. */
function colorScheme(name, map, round, options) {
  const scheme = SCHEMES[name](map, round, options);
  scheme.entryOf ??= scheme.colors.map((color, code) => code);
  const counts = new Uint32Array(scheme.entries.length);
  for (let i = 0; i < map.numPoints; i += 1) if (options.visible[i]) counts[scheme.entryOf[scheme.codes[i]]] += 1;
  scheme.entries.forEach((entry, index) => { entry.count = counts[index]; });
  return scheme;
}

/** The names of the schemes that this data can fill. */
function availableSchemes(map, data) {
  const hasClasses = map.numClasses > 0;
  return Object.keys(SCHEMES).filter((name) => {
    if (name === "class") return hasClasses;
    if (name === "right") return hasClasses && data.cluster_classes.length > 0;
    if (name === "moved") return map.numRounds > 1;
    return !(name in COLUMNS) || Boolean(data[`${name}_url`]);
  });
}

const SCHEMES = {
  cluster(map, round, { data, labels }) {
    const colors = Array.from({ length: map.numClusters }, (_, k) => data.palette[k % data.palette.length]);
    const classOf = data.cluster_classes[Math.min(round, data.cluster_classes.length - 1)] ?? [];
    const label = (k) => {
      const name = data.class_names[classOf[k]];
      return name === undefined ? fill(labels.cluster_item, { cluster: k }) : fill(labels.cluster_named, { cluster: k, name });
    };
    const entries = colors.map((color, k) => ({ color, label: label(k) }));
    return { codes: roundOf(map, map.clusters, round), colors, entries };
  },

  class(map, round, { data, labels }) {
    const names = Array.from({ length: map.numClasses }, (_, k) => data.class_names[k] ?? String(k));
    const colors = names.map((_, k) => data.class_palette[k % data.class_palette.length]);
    const entries = names.map((label, k) => ({ label, color: colors[k] }));
    if (map.classes.includes(-1)) entries.push({ label: labels.unlabelled, color: data.colors.unknown });
    colors.push(data.colors.unknown);
    return { codes: map.classes.map((id) => (id < 0 ? map.numClasses : id)), colors, entries };
  },

  right(map, round, { data, labels }) {
    const clusters = roundOf(map, map.clusters, round);
    const classOf = data.cluster_classes[Math.min(round, data.cluster_classes.length - 1)];
    const codes = map.classes.map((id, i) => (id < 0 ? 2 : Number(classOf[clusters[i]] !== id)));
    const names = codes.includes(2) ? ["right", "wrong", "unknown"] : ["right", "wrong"];
    return { codes, ...namedEntries(names, data.colors, { ...labels, unknown: labels.unlabelled }) };
  },

  moved(map, round, { data, labels }) {
    const [now, before] = [round, Math.max(0, round - 1)].map((r) => roundOf(map, map.clusters, r));
    return { codes: now.map((id, i) => Number(id !== before[i])), ...namedEntries(["stayed", "moved"], data.colors, labels) };
  },

  margin: (map, round, options) => levels("margin", EVEN, map, round, options),
  trust: (map, round, options) => levels("trust", RANDOM_TO_FAITHFUL, map, round, options),
  continuity: (map, round, options) => levels("continuity", RANDOM_TO_FAITHFUL, map, round, options),
  stability: (map, round, options) => levels("stability", EVEN, map, round, options),
};

/** A column of bytes from dark (low) to bright (1); one colour for all while it is on its way. */
function levels(name, { low, power, digits }, map, round, { data, labels, columns }) {
  const colors = Array.from({ length: 256 }, (_, level) => blend(data.colors.sequential, level / 255));
  const values = columns.get(name, round);
  if (!values) {
    const entries = [{ label: labels.computing, color: data.colors.unknown }];
    return { codes: new Uint8Array(map.numPoints), colors: [data.colors.unknown], entries };
  }
  const edge = (bin) => (1 - (1 - low) * (1 - bin / BINS) ** power).toFixed(digits);
  const entries = Array.from({ length: BINS }, (_, bin) => ({
    label: bin === 0 && low > 0 ? fill(labels.at_most, { value: edge(1) }) : `${edge(bin)} – ${edge(bin + 1)}`,
    color: colors[Math.round(((bin + 0.5) / BINS) * 255)],
  }));
  const levelOf = (value) => Math.round(255 * (1 - Math.min(1, (1 - value / 255) / (1 - low)) ** (1 / power)));
  const level = Uint8Array.from({ length: 256 }, (_, value) => levelOf(value));
  const codes = values.map((value) => level[value]);
  return { codes, colors, entries, entryOf: colors.map((_, one) => Math.min(BINS - 1, Math.floor((one * BINS) / 255))) };
}

function namedEntries(names, colors, labels) {
  return { colors: names.map((name) => colors[name]), entries: names.map((name) => ({ label: labels[name], color: colors[name] })) };
}

function roundOf(map, values, round) {
  return values.subarray(round * map.numPoints, (round + 1) * map.numPoints);
}

/** Colours of points as RGBA bytes, and their order: hidden ones left out, dimmed ones before the others. */
function pointLook(scheme, map, { visible, isolated, selected }) {
  const rgb = scheme.colors.map(parseColor);
  const stressed = scheme.entryOf.map((entry) => !isolated.size || isolated.has(entry));
  const colors = new Uint8Array(4 * map.numPoints);
  const [dimmed, plain] = [[], []];
  for (let i = 0; i < map.numPoints; i += 1) {
    const code = scheme.codes[i];
    const stands = stressed[code] && (!selected || selected[i] === 1);
    [colors[4 * i], colors[4 * i + 1], colors[4 * i + 2]] = rgb[code];
    colors[4 * i + 3] = 255 * (stands ? ALPHA : DIMMED_ALPHA);
    if (visible[i]) (stands ? plain : dimmed).push(i);
  }
  return { colors, order: Uint32Array.from(dimmed.concat(plain)), numDimmed: dimmed.length };
}

function parseColor(text) {
  return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
}

/** The colour at `share` (0..1) along evenly spaced colours. */
function blend(colors, share) {
  const place = share * (colors.length - 1);
  const first = Math.min(colors.length - 2, Math.floor(place));
  const [from, to] = [parseColor(colors[first]), parseColor(colors[first + 1])];
  const mixed = from.map((value, k) => Math.round(value + (to[k] - value) * (place - first)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
