// What the image canvas shows at a moment: sizes, colours, heat, lines and pins. It changes nothing of the canvas's state.

const MARK = "#ffd400"; // what is pinned: seen on any picture and in both themes
const SPECK = 16; // CSS pixels in all; outlines of smaller pieces would hide them and all around
const MIN_SIDE = 48; // CSS pixels; a picture that would be narrower is drawn stretched
const MIN_PLAYER = 320;

class Drawing {
  /** `owner` is the image canvas. */
  constructor(owner) {
    Object.assign(this, { owner, size: null, kept: null, stretched: false });
  }

  /** Give the stage its size: as wide as there is room, no taller than wanted. */
  fit() {
    const { parts, data } = this.owner;
    const room = parts.root.clientWidth;
    if (!room) return;
    const wide = Math.min(room, (data.max_height * data.width) / data.height);
    const high = (wide * data.height) / data.width;
    this.stretched = wide < MIN_SIDE || high < MIN_SIDE;
    const [width, height] = [Math.round(Math.max(wide, Math.min(MIN_SIDE, room))), Math.round(Math.max(high, MIN_SIDE))];
    Object.assign(parts.stage.style, { width: `${width}px`, height: `${height}px` });
    parts.player.style.maxWidth = `${Math.max(width, MIN_PLAYER)}px`;
    parts.picture.classList.toggle("enlarged", width > 2 * data.width);
    const ratio = window.devicePixelRatio || 1;
    const size = { width: Math.round(width * ratio), height: Math.round(height * ratio), ratio };
    if (this.size?.width === size.width && this.size.height === size.height) return;
    Object.assign(parts.lines, { width: size.width, height: size.height });
    this.size = size;
    this.request();
  }

  hasColors() {
    const { layers, mode } = this.owner;
    return Boolean(layers.labels) && (mode === "colors" || mode === "both");
  }

  /** Colours would change what heat means, so they rest while there is heat. */
  showsColors() {
    return this.hasColors() && !this.owner.isBare() && !this.showsHeat();
  }

  showsHeat() {
    const { layers, data, step } = this.owner;
    return layers.heat !== null && !this.owner.isBare() && (data.heat_step === null || data.heat_step === step);
  }

  /** Colours and heat; opacity is left to the browser. */
  paint() {
    const { parts, data, layers, step, fillAlpha, heatAlpha } = this.owner;
    const [showsFill, showsHeat] = [this.showsColors(), this.showsHeat()];
    parts.fill.hidden = !showsFill;
    parts.heat.hidden = !showsHeat;
    parts.fill.style.opacity = fillAlpha;
    parts.heat.style.opacity = heatAlpha;
    if (showsFill) paintColors(parts.fill, layers.labels, step, data.colors, data.color_of_id);
    if (showsHeat) paintHeat(parts.heat, layers.heat, step, colorRamp(data.heat_colors), data.heat_hides_zero);
  }

  /** Draw the lines in the next frame. */
  request() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawLines());
  }

  release() {
    cancelAnimationFrame(this.frame);
  }

  drawLines() {
    const { parts, layers } = this.owner;
    if (!this.size) return;
    const context = parts.lines.getContext("2d");
    context.clearRect(0, 0, this.size.width, this.size.height);
    if (!this.owner.isBare()) {
      if (layers.labels) this.drawEdges(context);
      this.drawPins(context);
    }
    this.owner.drawn();
  }

  drawEdges(context) {
    const { layers, mode, step, pins, hover } = this.owner;
    const width = Math.max(1, Math.round(this.size.ratio));
    const lines = this.lines(layers.labels, step);
    if (mode === "lines" || mode === "both") {
      lines.path ??= edgePath(layers.labels, this.size, isBoundary(lines.plane, lines.isSpeck));
      strokeTwice(context, lines.path, width, width, "white", 0.9);
    }
    if (!layers.readsLabels()) return;
    const rimAt = ([x, y]) => edgePath(layers.labels, this.size, isRimOf(lines.plane, layers.idAt(x, y, step), lines.isSpeck));
    if (hover) strokeTwice(context, rimAt(hover), 2 * width, width);
    for (const pin of pins) strokeTwice(context, rimAt(pin), 2 * width, width, MARK);
  }

  /** What lines depend on: kept until the labels, the step or the size change. */
  lines(labels, step) {
    const { kept, size } = this;
    if (kept?.labels === labels && kept.step === step && kept.size === size) return kept;
    const plane = planeOf(labels, step);
    const cellsOfSpeck = (SPECK * size.ratio ** 2 * plane.length) / (size.width * size.height);
    this.kept = { labels, step, size, plane, isSpeck: speckFinder(plane, labels.columns, cellsOfSpeck) };
    return this.kept;
  }

  drawPins(context) {
    const { pins, data } = this.owner;
    const { width, height, ratio } = this.size;
    pins.forEach(([x, y], index) => {
      paintPin(context, x * width, y * height, data.max_pins > 1 ? String(index + 1) : "", ratio, MARK);
    });
  }
}
