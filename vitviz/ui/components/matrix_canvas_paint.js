// Painting of the matrix canvas: cells one canvas pixel each, enlarged without smoothing; lines at the pixels of the screen.

const HEADER = 16;
const MAGIC = "VZHT";
const MARK = "#ffd400"; // what is pinned or selected: seen on any colour and in both themes
const EMPTY = [24, 24, 28];

/** Fetch a heat of one step, as vitviz/explain/canvas_layers.py packs it -> {size, values: size * size bytes}. */
async function fetchCells(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
  const buffer = await answer.arrayBuffer();
  const found = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (found !== MAGIC) throw new Error(`${found} where ${MAGIC} was expected`);
  const size = new DataView(buffer).getUint32(8, true);
  return { size, values: new Uint8Array(buffer, HEADER, size * size) };
}

/** "#rrggbb" -> [red, green, blue]. */
function rgbOf(text) {
  return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
}

/** 256 colours between a few. */
function rampOf(colors) {
  const stops = colors.map(rgbOf);
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((one, part) => Math.round(one + (place - low) * (stops[low + 1][part] - one)));
  });
}

/** One pixel a cell, its colour by `colorAt(row, column)`. */
function paintSquare(canvas, size, colorAt) {
  Object.assign(canvas, { width: size, height: size });
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) image.data.set([...colorAt(row, column), 255], 4 * (row * size + column));
  }
  context.putImageData(image, 0, 0);
}

function paintHeatCells(canvas, { size, values }, colors) {
  const ramp = rampOf(colors);
  paintSquare(canvas, size, (row, column) => ramp[values[row * size + column]]);
}

/** What a perfect affinity would fill: the blocks of equal ids. */
function paintIdeal(canvas, ids, colors) {
  const palette = colors.map(rgbOf);
  paintSquare(canvas, ids.length, (row, column) => (ids[row] === ids[column] && ids[row] >= 0 ? palette[ids[row] % palette.length] : EMPTY));
}

/** The edges of the cells where row and column are of one id, as a path on a square of `side` device pixels. */
function blockEdges(ids, side) {
  const path = new Path2D();
  const size = ids.length;
  const at = (cell) => Math.round((cell * side) / size);
  const block = (row, column) => (ids[row] !== undefined && ids[row] === ids[column] ? ids[row] : -1);
  for (let line = 0; line <= size; line += 1) {
    for (const [from, to] of stretches(size, (cell) => block(line - 1, cell) !== block(line, cell))) {
      path.moveTo(at(from), at(line));
      path.lineTo(at(to), at(line));
      path.moveTo(at(line), at(from)); // the matrix is symmetric, and so are its blocks
      path.lineTo(at(line), at(to));
    }
  }
  return path;
}

/** The stretches [from, to) of 0..length where `holds` is true. */
function stretches(length, holds) {
  const found = [];
  for (let place = 0; place < length; place += 1) {
    if (!holds(place)) continue;
    const last = found.at(-1);
    if (last && last[1] === place) last[1] += 1;
    else found.push([place, place + 1]);
  }
  return found;
}

/** A dark line with a light one inside, so that it shows on any colour. */
function strokeOn(context, path, ratio, color) {
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "rgb(0 0 0 / 60%)";
  context.stroke(path);
  context.lineWidth = 1.2 * ratio;
  context.strokeStyle = color;
  context.stroke(path);
}

/** The row and the column of a cell, and its place. */
function drawPin(context, [row, column], size, side, ratio) {
  const [x, y] = [column, row].map((cell) => ((cell + 0.5) * side) / size);
  const cross = new Path2D();
  cross.moveTo(0, y);
  cross.lineTo(side, y);
  cross.moveTo(x, 0);
  cross.lineTo(x, side);
  context.globalAlpha = 0.55;
  strokeOn(context, cross, ratio, MARK);
  context.globalAlpha = 1;
  const ring = new Path2D();
  ring.arc(x, y, 5 * ratio, 0, 2 * Math.PI);
  strokeOn(context, ring, ratio, MARK);
}

/** A selected rectangle; all around it is dimmed. */
function drawBlock(context, [top, bottom, left, right], size, side, ratio) {
  const [y0, y1, x0, x1] = [top, bottom, left, right].map((cell) => (cell * side) / size);
  const around = new Path2D();
  around.rect(0, 0, side, side);
  around.rect(x0, y0, x1 - x0, y1 - y0);
  context.fillStyle = "rgb(0 0 0 / 45%)";
  context.fill(around, "evenodd");
  const frame = new Path2D();
  frame.rect(x0, y0, x1 - x0, y1 - y0);
  strokeOn(context, frame, ratio, MARK);
}
