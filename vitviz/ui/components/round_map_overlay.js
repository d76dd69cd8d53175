// A transparent canvas over the points.

/** What lies over the points: lasso, paths of selected points, the picked point, the keyboard's cross. */
function paintOverlay(canvas, view, { outline, trails, links, ring, cross, accent, halo, text }) {
  fitCanvas(canvas, view);
  const context = canvas.getContext("2d");
  context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  for (const trail of trails) paintTrail(context, view, trail);
  for (const link of links) paintLink(context, view, link, text, halo);
  if (outline.length > 1) paintOutline(context, view, outline, accent);
  if (ring) paintRing(context, toScreen(view, ring[0], ring[1]), accent, halo);
  if (cross) paintCross(context, view, accent);
}

/** The ways of the selected points through all rounds, in map units. */
function trailPaths({ map, selected, visible, scheme }) {
  const paths = [];
  selected?.forEach((chosen, i) => {
    if (!chosen || !visible[i]) return;
    const places = Array.from({ length: map.numRounds }, (_, round) => placeBetween(map, i, round, round, 0));
    paths.push({ places, color: scheme.colors[scheme.codes[i]] });
  });
  return paths;
}

/** From the followed image to its neighbours at the round in view: [from, to, whether it is a true one]. */
function linkLines(owner) {
  const { links } = owner.data;
  if (!links || !owner.visible[links.sample]) return [];
  const lines = (rows, isTrue) => rows.map((row) => [owner.placeOf(links.sample), owner.placeOf(row), isTrue]);
  const [near, drawn] = links.rounds[owner.motion.shown] ?? [[], []];
  return [...lines(near, true), ...lines(drawn, false)];
}

function paintOutline(context, view, outline, accent) {
  context.beginPath();
  for (const [x, y] of outline) context.lineTo(...toScreen(view, x, y));
  context.closePath();
  context.strokeStyle = context.fillStyle = accent;
  context.lineWidth = 1.5;
  context.stroke();
  context.globalAlpha = 0.07;
  context.fill();
  context.globalAlpha = 1;
}

/** A line to a neighbour: solid to a true one, dashed to one that is near on the map alone. */
function paintLink(context, view, [from, to, isTrue], text, halo) {
  for (const [color, width] of [[halo, 4], [text, 1.5]]) {
    context.beginPath();
    context.setLineDash(isTrue ? [] : [3, 4]);
    context.moveTo(...toScreen(view, ...from));
    context.lineTo(...toScreen(view, ...to));
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
  }
  context.setLineDash([]);
}

function paintTrail(context, view, { places, color }) {
  context.beginPath();
  for (const [x, y] of places) context.lineTo(...toScreen(view, x, y));
  context.strokeStyle = color;
  context.globalAlpha = 0.45;
  context.lineWidth = 1.25;
  context.stroke();
  context.globalAlpha = 1;
}

function paintRing(context, [x, y], accent, halo) {
  for (const [color, width] of [[halo, 5], [accent, 2]]) {
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
  }
}

function paintCross(context, view, accent) {
  const [x, y] = [view.width / 2, view.height / 2];
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 4 * dx, y + 4 * dy);
    context.lineTo(x + 11 * dx, y + 11 * dy);
  }
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.stroke();
}
