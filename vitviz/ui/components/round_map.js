// The round map: points of all rounds, drawn and scrubbed in the browser; Python hears only of selections and picks.

const ZOOM_STEP = 1.4;
const maps = new WeakMap();

export default function roundMap(component) {
  const { parentElement, data } = component;
  let map = maps.get(parentElement);
  if (map && !isSameMap(map.data, data)) {
    map.release();
    map = null;
  }
  map ??= new RoundMap(parentElement, component);
  maps.set(parentElement, map);
  map.update(component);
  return () => {
    if (parentElement.isConnected) return; // Streamlit also cleans up after a render that a newer one overtook
    map.release();
    maps.delete(parentElement);
  };
}

/** Other points or another language need a map built afresh. */
function isSameMap(before, data) {
  return before.data_url === data.data_url && before.labels.locale === data.labels.locale;
}

class RoundMap {
  constructor(parent, component) {
    this.component = component;
    this.data = component.data;
    this.labels = this.data.labels;
    this.numbers = new Intl.NumberFormat(this.labels.locale);
    Object.assign(this, { map: null, columns: null, painter: null, visible: null });
    Object.assign(this, { schemeName: this.data.color_by, isolated: new Set(), selection: null, selected: null });
    Object.assign(this, { outline: [], trails: false });
    this.parts = buildControls(parent, this.labels, this.actions());
    this.parts.root.map = this; // for tests and the console
    this.setTool(window.matchMedia("(pointer: coarse)").matches ? "pan" : "lasso");
    this.load();
  }

  actions() {
    return {
      toggleTrails: () => this.toggleTrails(),
      clear: () => this.clear(),
      setTool: (name) => this.setTool(name),
      changeView: (what) => this.changeView(what),
      step: (by) => this.motion?.step(by),
      togglePlay: () => this.motion?.togglePlay(),
      goTo: (round) => this.motion?.goTo(round),
      setFilter: (name) => this.setFilter(name),
    };
  }

  async load() {
    try {
      this.map = await fetchRoundMap(this.data.data_url);
    } catch {
      this.parts.message.textContent = this.labels.failed;
      return;
    }
    if (!this.released) this.start();
  }

  start() {
    const { parts, map, data } = this;
    parts.message.hidden = true;
    this.visible = new Uint8Array(map.numPoints).fill(1);
    this.columns = new Columns(map, data, () => this.released || this.refresh(), () => !this.motion.travel);
    this.view = new View(parts.surface, map);
    this.motion = new Motion(map.numRounds, data.round, {
      frame: () => this.draw(),
      round: () => this.refresh(),
      rest: () => this.rest(),
      playing: () => markPlaying(parts.play, this.motion.playing, this.labels),
    });
    this.pointing = new Pointing(this);
    this.address = data.address ? new Address() : null;
    this.painter = makePainter(parts.points, map, () => this.fallBack());
    this.prepareControls();
    this.applySelection(data.selection);
    this.setScheme(this.schemeName);
    this.rest();
  }

  prepareControls() {
    const { parts, map } = this;
    fillSchemes(parts.schemes, availableSchemes(map, this.data), this.labels, (name) => this.chooseScheme(name));
    parts.filters.hidden = !map.heldOut.includes(1);
    markPressed(parts.filters, "filter", "all");
    parts.range.max = map.numRounds - 1;
    parts.player.hidden = map.numRounds < 2;
    parts.root.dataset.painter = this.painter.constructor.name;
    this.gestures = new Gestures(parts.surface, this);
    listenToKeys(parts.root, parts.surface, this.gestures, this);
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(parts.surface);
  }

  /** Take what a rerun of the page sends. The round and the selection stay the viewer's unless `follow` changes. */
  update(component) {
    const before = this.data;
    this.component = component;
    this.data = component.data;
    this.parts.stage.style.height = `${this.data.height}px`;
    if (!this.motion) return;
    if (before.follow !== this.data.follow) this.followPython();
    else this.refresh();
  }

  followPython() {
    this.applySelection(this.data.selection);
    this.setScheme(this.data.color_by);
    this.motion.goTo(this.data.round);
  }

  /** WebGL is gone: go on with a 2-D canvas, which needs a fresh element. */
  fallBack() {
    if (this.released) return;
    const fresh = this.parts.points.cloneNode();
    this.parts.points.replaceWith(fresh);
    this.parts.points = fresh;
    this.painter = new FlatPainter(fresh, this.map);
    this.parts.root.dataset.painter = "FlatPainter";
    this.refresh();
  }

  release() {
    this.released = true;
    this.motion?.release();
    this.gestures?.release();
    this.resizes?.disconnect();
    this.address?.release();
    this.painter?.release();
    this.parts.root.remove();
  }

  /** The points have arrived at a round. */
  rest() {
    this.parts.root.dataset.round = String(this.motion.shown);
    if (this.schemeName in COLUMNS) this.refresh();
    const { shown } = this.motion;
    const isStart = shown === this.motion.clamp(this.data.round) && this.schemeName === this.data.color_by;
    if (this.address && (this.address.written || !isStart)) {
      this.address.write({ round: String(shown), color: this.schemeName });
    }
  }

  // Colours, filter, legend

  chooseScheme(name) {
    this.setScheme(name);
    this.rest();
  }

  setScheme(name) {
    this.schemeName = availableSchemes(this.map, this.data).includes(name) ? name : "cluster";
    this.isolated = new Set();
    this.refresh();
  }

  setFilter(name) {
    if (!this.map) return;
    const wanted = { train: 0, held_out: 1 }[name];
    this.visible = this.map.heldOut.map((held) => Number(wanted === undefined || held === wanted));
    markPressed(this.parts.filters, "filter", name);
    this.refresh();
  }

  toggleEntry(index) {
    if (this.isolated.has(index)) this.isolated.delete(index);
    else this.isolated.add(index);
    this.refresh();
  }

  /** Colour, count and draw again what the current round, scheme, filter and selection say. */
  refresh() {
    const { parts, map } = this;
    this.scheme = colorScheme(this.schemeName, map, this.motion.shown, this);
    const look = pointLook(this.scheme, map, this);
    this.painter.setLook(look);
    parts.root.dataset.dimmed = String(look.numDimmed);
    fillLegend(parts.legend, this.scheme, this.isolated, this.numbers, (index) => this.toggleEntry(index));
    markPressed(parts.schemes, "scheme", this.schemeName);
    showRoundText(this);
    this.motion.requestFrame();
  }

  // Selection

  applySelection(selection) {
    const usable = selection && selection.polygon?.length > 2;
    this.selection = usable ? { polygon: selection.polygon, round: this.motion.clamp(selection.round) } : null;
    this.selected = usable ? pointsInside(placesOf(this.map, this.selection.round), selection.polygon) : null;
    showChip(this);
  }

  showOutline(screenPath) {
    const now = this.view.now();
    this.outline = screenPath.map(([x, y]) => toMap(now, x, y));
    this.motion.requestFrame();
  }

  /** The lasso is let go: dim the rest and send the polygon, never the points. */
  closeOutline() {
    const polygon = tidyPolygon(this.outline);
    this.outline = [];
    this.select(polygon);
  }

  select(polygon) {
    const hadOne = this.selection !== null;
    this.applySelection({ polygon, round: this.motion.shown });
    if (!this.selected?.includes(1)) this.applySelection(null);
    this.refresh();
    if (this.selection || hadOne) this.component.setStateValue("selection", this.selection && { ...this.selection, at: Date.now() });
  }

  clear() {
    this.outline = [];
    this.isolated = new Set();
    this.select([]);
  }

  toggleTrails() {
    this.trails = !this.trails;
    this.parts.chipTrails.setAttribute("aria-pressed", String(this.trails));
    this.motion.requestFrame();
  }

  // The view

  placeOf(index) {
    const { from, to, progress } = this.motion.between();
    return placeBetween(this.map, index, from, to, progress);
  }

  changeView(what) {
    if (!this.view) return;
    if (what === "closer") this.view.zoomMiddle(ZOOM_STEP);
    if (what === "wider") this.view.zoomMiddle(1 / ZOOM_STEP);
    if (what === "fit") this.view.fit();
    if (what === "all") this.select(tidyPolygon(this.view.corners()));
    this.motion.requestFrame();
  }

  zoomBy(factor, x, y) {
    this.view.zoomBy(factor, x, y);
    this.pointing.hideCard();
    this.motion.requestFrame();
  }

  panBy(dx, dy) {
    this.view.panBy(dx, dy);
    this.motion.requestFrame();
  }

  setTool(name) {
    this.tool = name;
    this.parts.surface.dataset.tool = name;
    markPressed(this.parts.tools, "tool", name);
  }

  // Drawing

  draw() {
    const view = this.view.now();
    if (this.released || view.width === 0) return;
    if (this.motion.travel) this.pointing.hideCard();
    this.painter.draw({ ...this.motion.between(), size: this.view.dotSize() }, view);
    paintOverlay(this.parts.overlay, view, this.overlayParts());
    this.markReady();
  }

  overlayParts() {
    const style = getComputedStyle(this.parts.root);
    return {
      outline: this.outline,
      trails: this.trails ? trailPaths(this) : [],
      links: linkLines(this),
      ring: this.pointing.ring(),
      cross: this.gestures.byKeyboard && this.parts.surface.matches(":focus"),
      accent: style.getPropertyValue("--accent"),
      halo: style.getPropertyValue("--paper"),
      text: style.getPropertyValue("--text"),
    };
  }

  markReady() {
    const { root } = this.parts;
    if (root.dataset.ready) return;
    root.dataset.ready = "true";
    performance.mark("vitviz-round-map-ready");
  }
}
