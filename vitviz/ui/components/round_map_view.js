// Which part of the map is in view. `now()` gives what the painters need; screen places are CSS pixels of the surface.

const MARGIN_PIXELS = 24;
const ZOOM_RANGE = [0.5, 80];
const MIN_DOT = 2.8;
const MAX_DOT = 9;
const MAX_ZOOMED_DOT = 16;

class View {
  constructor(surface, map) {
    this.surface = surface;
    this.numPoints = map.numPoints;
    this.bounds = mapBounds(map);
    this.fit();
  }

  fit() {
    const [left, bottom, right, top] = this.bounds;
    this.zoom = 1;
    this.center = [(left + right) / 2, (bottom + top) / 2];
  }

  /** {x, y} centre in map units, scale in CSS pixels a map unit, width, height, ratio = device pixels a CSS pixel. */
  now() {
    const { clientWidth: width, clientHeight: height } = this.surface;
    const [left, bottom, right, top] = this.bounds;
    const fitted = Math.min(fitScale(width, right - left), fitScale(height, top - bottom));
    const [x, y] = this.center;
    return { x, y, scale: fitted * this.zoom, width, height, ratio: window.devicePixelRatio || 1 };
  }

  /** Zoom so that what lies under a screen place stays there. */
  zoomBy(factor, left, top) {
    const before = toMap(this.now(), left, top);
    this.zoom = Math.max(ZOOM_RANGE[0], Math.min(ZOOM_RANGE[1], this.zoom * factor));
    const after = toMap(this.now(), left, top);
    this.center = this.center.map((value, axis) => value + before[axis] - after[axis]);
  }

  zoomMiddle(factor) {
    const { width, height } = this.now();
    this.zoomBy(factor, width / 2, height / 2);
  }

  panBy(dx, dy) {
    const { scale } = this.now();
    this.center = [this.center[0] - dx / scale, this.center[1] + dy / scale];
  }

  /** The four corners in map units. */
  corners() {
    const now = this.now();
    return [[0, 0], [now.width, 0], [now.width, now.height], [0, now.height]].map(([x, y]) => toMap(now, x, y));
  }

  /** Diameter of a point in CSS pixels: smaller in a crowd, larger when zoomed in. */
  dotSize() {
    const { width, height } = this.now();
    const crowded = 0.36 * Math.sqrt((width * height) / this.numPoints);
    return Math.min(MAX_ZOOMED_DOT, Math.max(MIN_DOT, Math.min(MAX_DOT, crowded)) * this.zoom ** 0.4);
  }
}

function fitScale(pixels, units) {
  return Math.max(40, pixels - 2 * MARGIN_PIXELS) / Math.max(units, 1e-6);
}

function toScreen(view, x, y) {
  return [view.width / 2 + (x - view.x) * view.scale, view.height / 2 - (y - view.y) * view.scale];
}

function toMap(view, left, top) {
  return [view.x + (left - view.width / 2) / view.scale, view.y - (top - view.height / 2) / view.scale];
}
