// One moment of the live map on a 2-D canvas: dots, the way of those that change their cluster, pictures of digits.

const MOST_DOTS = 3000;
const MOST_MOVERS = 24;
const MARGIN = 34;
const DOT = 2.8;
const PICTURE = 20;
const EDGE = 2;
const BESIDE = 30; // from an image to its picture
const tileImages = new Map();

/** The image of a tile; `onLoad` is called once it can be drawn. */
function tileImage(address, onLoad) {
  if (!tileImages.has(address)) {
    tileImages.set(address, null);
    loadTile(address).then((there) => {
      if (!there) return tileImages.delete(address);
      const image = new Image();
      image.src = address;
      return image.decode().then(() => tileImages.set(address, image), () => tileImages.delete(address));
    }).then(() => onLoad());
  }
  return tileImages.get(address) ?? null;
}

/** The points whose cluster differs between two rounds, those that travel furthest first. */
function moversOf(map, from, to) {
  const { numPoints, clusters, positions } = map;
  const found = [];
  for (let point = 0; point < numPoints; point += 1) {
    if (clusters[from * numPoints + point] === clusters[to * numPoints + point]) continue;
    const [start, end] = [from, to].map((round) => 2 * (round * numPoints + point));
    found.push([Math.hypot(positions[end] - positions[start], positions[end + 1] - positions[start + 1]), point]);
  }
  return found.sort((one, other) => other[0] - one[0]).map(([, point]) => point);
}

/** Where a point lies on the canvas, `progress` 0..1 of the way from one round to another; the box of the map fits the canvas. */
function livePlacer(map, width, height) {
  const [left, bottom, right, top] = mapBounds(map);
  const scale = Math.min((width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (top - bottom));
  const [middleX, middleY] = [(left + right) / 2, (bottom + top) / 2];
  return (point, { from, to, progress }) => {
    const [start, end] = [from, to].map((round) => 2 * (round * map.numPoints + point));
    const at = (axis) => (map.positions[start + axis] * (1 - progress) + map.positions[end + axis] * progress) / LARGEST;
    return [width / 2 + (at(0) - middleX) * scale, height / 2 - (at(1) - middleY) * scale];
  };
}

/** Draw a leg: from one round to another, `progress` 0..1 of the way; `scene` has map, place, movers, anchors and palette. */
function paintLive(context, scene, leg, ink) {
  const { map, movers, anchors } = scene;
  context.clearRect(0, 0, scene.width, scene.height);
  paintDots(context, scene, leg);
  const shown = movers.slice(0, MOST_MOVERS);
  context.lineCap = "round";
  for (const point of shown) paintTrail(context, scene, leg, point, ink);
  for (const point of anchors) paintAnchor(context, scene, leg, point);
  for (const point of shown) paintPicture(context, scene, point, clusterIn(map, leg, point), scene.place(point, leg));
}

/** The colour is that of the nearer round. */
function clusterIn({ clusters, numPoints }, { from, to, progress }, point) {
  return clusters[(progress < 0.5 ? from : to) * numPoints + point];
}

function colorOf({ palette }, cluster) {
  return palette[cluster % palette.length];
}

function paintDots(context, scene, leg) {
  const { map } = scene;
  const every = Math.max(1, Math.ceil(map.numPoints / MOST_DOTS));
  let last = -1;
  for (let point = 0; point < map.numPoints; point += every) {
    const cluster = clusterIn(map, leg, point);
    if (cluster !== last) context.fillStyle = colorOf(scene, cluster);
    last = cluster;
    const [x, y] = scene.place(point, leg);
    context.fillRect(x - DOT / 2, y - DOT / 2, DOT, DOT);
  }
}

function paintTrail(context, scene, leg, point, ink) {
  context.beginPath();
  context.moveTo(...scene.place(point, { ...leg, progress: 0 }));
  context.lineTo(...scene.place(point, leg));
  context.strokeStyle = ink;
  context.globalAlpha = 0.5;
  context.stroke();
  context.globalAlpha = 1;
}

/** A picture beside its place, on the side away from the middle, so that it hides nothing of its cluster. */
function paintAnchor(context, scene, leg, point) {
  const [x, y] = scene.place(point, leg);
  const [outX, outY] = [x - scene.width / 2, y - scene.height / 2];
  const length = Math.hypot(outX, outY) || 1;
  const inside = (value, size) => Math.max(PICTURE, Math.min(size - PICTURE, value));
  paintTile(context, scene, point, inside(x + (outX / length) * BESIDE, scene.width), inside(y + (outY / length) * BESIDE, scene.height));
}

/** A picture in its place, framed in the colour of its cluster; a large dot where there is no picture. */
function paintPicture(context, scene, point, cluster, [x, y]) {
  const reach = PICTURE / 2 + EDGE;
  context.fillStyle = colorOf(scene, cluster);
  context.beginPath();
  if (tileOf(scene, point)) context.roundRect(x - reach, y - reach, 2 * reach, 2 * reach, 4);
  else context.arc(x, y, reach / 2, 0, 2 * Math.PI);
  context.fill();
  paintTile(context, scene, point, x, y);
}

function tileOf(scene, point) {
  return tileImage(tileAddress(scene.tile_url, point), scene.onLoad);
}

function paintTile(context, scene, point, x, y) {
  const image = tileOf(scene, point);
  if (!image) return;
  const [cell, place] = [image.naturalWidth / TILE_SIDE, point % TILE_IMAGES];
  const [column, row] = [place % TILE_SIDE, Math.floor(place / TILE_SIDE)];
  context.drawImage(image, column * cell, row * cell, cell, cell, x - PICTURE / 2, y - PICTURE / 2, PICTURE, PICTURE);
}
