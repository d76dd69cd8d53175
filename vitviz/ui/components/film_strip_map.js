// The small maps of a film strip, drawn from the round map's own buffer, which the browser has already.

const MOST_DOTS = 2500;
const EDGE = 6;

/** Draw the map of a round with the image's way to it. */
function paintSmallMap(canvas, map, round, sample, ink) {
  const ratio = window.devicePixelRatio || 1;
  const side = canvas.clientWidth;
  canvas.width = canvas.height = Math.round(side * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const place = placer(mapBounds(map), side);
  paintCrowd(context, map, round, place, ink);
  paintWay(context, map, round, sample, place, ink);
}

/** Where a point of the buffer lies on a square canvas. */
function placer([left, bottom, right, top], side) {
  const scale = (side - 2 * EDGE) / Math.max(right - left, top - bottom, 1e-6);
  const [middleX, middleY] = [(left + right) / 2, (bottom + top) / 2];
  return (map, round, point) => {
    const at = 2 * (round * map.numPoints + point);
    const [x, y] = [map.positions[at] / LARGEST, map.positions[at + 1] / LARGEST];
    return [side / 2 + (x - middleX) * scale, side / 2 - (y - middleY) * scale];
  };
}

function paintCrowd(context, map, round, place, { crowd }) {
  const every = Math.max(1, Math.ceil(map.numPoints / MOST_DOTS));
  context.fillStyle = crowd;
  context.globalAlpha = 0.28;
  for (let point = 0; point < map.numPoints; point += every) {
    const [x, y] = place(map, round, point);
    context.fillRect(x - 0.6, y - 0.6, 1.2, 1.2);
  }
  context.globalAlpha = 1;
}

function paintWay(context, map, round, sample, place, { accent, paper }) {
  context.beginPath();
  for (let earlier = 0; earlier <= round; earlier += 1) context.lineTo(...place(map, earlier, sample));
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.stroke();
  context.beginPath();
  context.arc(...place(map, round, sample), 4, 0, 2 * Math.PI);
  context.fillStyle = accent;
  context.fill();
  context.strokeStyle = paper;
  context.stroke();
}
