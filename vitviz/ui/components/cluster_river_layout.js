// Where the blocks and bands of a river lie, in CSS pixels. Counts in, places out; nothing is drawn here.

const BLOCK_WIDTH = 11;
const LEAST_STEP = 40;
const TOP = 6;
const BOTTOM = 24;
const CHARACTER = 6.6;

/** Everything's place -> {width, height, blocks, bands, columns, labelWidth}; `room` is the width there is. */
function layOutRiver({ sizes, bands, names, height }, room) {
  const [numRounds, numClusters] = [sizes.length, names.length];
  const longest = Math.max(...names.map((name) => name.length));
  const labelWidth = Math.min(room < 640 ? 84 : 150, 14 + CHARACTER * longest);
  const step = Math.max(LEAST_STEP, (room - 2 * labelWidth - BLOCK_WIDTH) / Math.max(1, numRounds - 1));
  const columns = sizes.map((_, round) => labelWidth + round * step);
  const gap = numClusters <= 12 ? 7 : 3;
  const tallest = Math.max(1, ...sizes.map((row) => row.reduce((sum, one) => sum + one, 0)));
  const scale = (height - TOP - BOTTOM - gap * (numClusters - 1)) / tallest;
  const blocks = placeBlocks(sizes, columns, { gap, scale, tallest });
  const width = columns.at(-1) + BLOCK_WIDTH + labelWidth;
  return { width, height, columns, labelWidth, blocks, bands: placeBands(bands, blocks, scale) };
}

function placeBlocks(sizes, columns, { gap, scale, tallest }) {
  return sizes.map((row, round) => {
    const unused = tallest - row.reduce((sum, one) => sum + one, 0);
    let y = TOP + (scale * unused) / 2;
    return row.map((count, cluster) => {
      const block = { round, cluster, count, x: columns[round], y, height: count * scale, left: 0, right: 0 };
      y += block.height + gap;
      return block;
    });
  });
}

/** Bands leave a block in the order of where they go, and enter one in the order of where they come from. */
function placeBands(bands, blocks, scale) {
  const made = bands.map(([round, source, target, count, repaired, broken]) => ({
    round, source, target, count, repaired, broken, height: count * scale, moves: source !== target,
  }));
  for (const band of made.slice().sort((a, b) => a.round - b.round || a.source - b.source || a.target - b.target)) {
    const block = blocks[band.round][band.source];
    band.y0 = block.y + block.right;
    band.x0 = block.x + BLOCK_WIDTH;
    block.right += band.height;
  }
  for (const band of made.slice().sort((a, b) => a.round - b.round || a.target - b.target || a.source - b.source)) {
    const block = blocks[band.round + 1][band.target];
    band.y1 = block.y + block.left;
    band.x1 = block.x;
    block.left += band.height;
  }
  return made;
}

/** The outline of a band as the text of an SVG path. */
function bandPath({ x0, y0, x1, y1, height }) {
  const middle = (x0 + x1) / 2;
  const numbers = [x0, y0, middle, y0, middle, y1, x1, y1, x1, y1 + height, middle, y1 + height, middle, y0 + height, x0, y0 + height];
  const [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = numbers.map((one) => one.toFixed(1));
  return `M${a} ${b}C${c} ${d} ${e} ${f} ${g} ${h}L${i} ${j}C${k} ${l} ${m} ${n} ${o} ${p}Z`;
}
