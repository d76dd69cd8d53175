// Painting of the image canvas. Colours and heat are one canvas pixel a cell, enlarged by the browser without smoothing;
// lines are drawn at the pixels of the screen.

const PIN_RADIUS = 6;

/** One pixel a cell, in the colour of its label. */
function paintColors(canvas, layer, step, palette, colorOfId) {
  const colors = palette.map(parseColor);
  const known = Array.isArray(colorOfId[0]) ? colorOfId[Math.min(step, colorOfId.length - 1)] : colorOfId;
  paintCells(canvas, layer, step, (label, out, at) => {
    const color = colors[(known[label] ?? label) % colors.length];
    [out[at], out[at + 1], out[at + 2], out[at + 3]] = [color[0], color[1], color[2], 255];
  });
}

/** One pixel a cell, in the colour of its heat; a heat of 0 may be left out. */
function paintHeat(canvas, layer, step, ramp, hidesZero) {
  paintCells(canvas, layer, step, (heat, out, at) => {
    for (let part = 0; part < 3; part += 1) out[at + part] = ramp[heat * 3 + part];
    out[at + 3] = hidesZero && heat === 0 ? 0 : 255;
  });
}

function paintCells(canvas, layer, step, paint) {
  const { rows, columns } = layer;
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const plane = planeOf(layer, step);
  for (let cell = 0; cell < plane.length; cell += 1) paint(plane[cell], image.data, cell * 4);
  context.putImageData(image, 0, 0);
}

/** The edges between cells that `splits(i, j)` parts, as a path in device pixels; i and j are cells, -1 what lies outside. */
function edgePath({ rows, columns }, size, splits) {
  const cell = (row, column) => (row < 0 || column < 0 || row >= rows || column >= columns ? -1 : row * columns + column);
  const across = (column) => Math.round((column * size.width) / columns);
  const down = (row) => Math.round((row * size.height) / rows);
  const path = new Path2D();
  for (let row = 0; row <= rows; row += 1) {
    for (const [from, to] of runs(columns, (column) => splits(cell(row - 1, column), cell(row, column)))) {
      path.moveTo(across(from), down(row));
      path.lineTo(across(to), down(row));
    }
  }
  for (let column = 0; column <= columns; column += 1) {
    for (const [from, to] of runs(rows, (row) => splits(cell(row, column - 1), cell(row, column)))) {
      path.moveTo(across(column), down(from));
      path.lineTo(across(column), down(to));
    }
  }
  return path;
}

/** The stretches [from, to) of 0..length where `holds` is true. */
function runs(length, holds) {
  const found = [];
  let start = -1;
  for (let place = 0; place <= length; place += 1) {
    const held = place < length && holds(place);
    if (held && start < 0) start = place;
    if (!held && start >= 0) {
      found.push([start, place]);
      start = -1;
    }
  }
  return found;
}

/** Where two labels meet, both in pieces that are not specks. */
function isBoundary(plane, isSpeck) {
  return (i, j) => i >= 0 && j >= 0 && plane[i] !== plane[j] && !isSpeck(i) && !isSpeck(j);
}

/** Around the pieces of one label that are not specks. */
function isRimOf(plane, label, isSpeck) {
  const holds = (i) => i >= 0 && plane[i] === label && !isSpeck(i);
  return (i, j) => holds(i) !== holds(j);
}

/** Which cells lie in a piece (4-connected, of one label) of fewer than `least` cells -> a function of the cell. */
function speckFinder(plane, columns, least) {
  if (least <= 1) return () => false;
  const specks = new Uint8Array(plane.length);
  const seen = new Uint8Array(plane.length);
  const piece = new Uint32Array(plane.length);
  for (let start = 0; start < plane.length; start += 1) {
    if (seen[start]) continue;
    const count = floodPiece(plane, columns, start, seen, piece);
    if (count < least) for (let place = 0; place < count; place += 1) specks[piece[place]] = 1;
  }
  return (cell) => specks[cell] === 1;
}

/** Collect the piece around a cell into `piece` -> its number of cells. */
function floodPiece(plane, columns, start, seen, piece) {
  piece[0] = start;
  seen[start] = 1;
  let count = 1;
  for (let place = 0; place < count; place += 1) {
    const cell = piece[place];
    const column = cell % columns;
    for (const next of [column > 0 ? cell - 1 : -1, column + 1 < columns ? cell + 1 : -1, cell - columns, cell + columns]) {
      if (next < 0 || next >= plane.length || seen[next] || plane[next] !== plane[cell]) continue;
      seen[next] = 1;
      piece[count] = next;
      count += 1;
    }
  }
  return count;
}

/** A dark line with a light one inside, so that it shows on any picture; `width` device pixels of light, `rim` of dark beside. */
function strokeTwice(context, path, width, rim, light = "white", strength = 1) {
  context.save();
  context.translate((width % 2) / 2, (width % 2) / 2);
  context.lineCap = "square";
  context.globalAlpha = strength;
  context.lineWidth = width + 2 * rim;
  context.strokeStyle = "rgb(0 0 0 / 58%)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = light;
  context.stroke(path);
  context.restore();
}

/** A numbered disc at a place in device pixels. */
function paintPin(context, x, y, text, ratio, color) {
  const ring = new Path2D();
  ring.arc(x, y, PIN_RADIUS * ratio, 0, 2 * Math.PI);
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "rgb(0 0 0 / 80%)";
  context.stroke(ring);
  context.fillStyle = color;
  context.fill(ring);
  if (!text) return;
  Object.assign(context, { font: `600 ${9 * ratio}px sans-serif`, textAlign: "center", textBaseline: "middle", fillStyle: "black" });
  context.fillText(text, x, y + 0.5 * ratio);
}
