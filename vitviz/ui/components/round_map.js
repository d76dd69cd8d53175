// The round map: points of all rounds, drawn and scrubbed in the browser; Python hears only of selections and picks.

const MOTION_MS = 500;
const PAUSE_MS = 350;
const PAGE_MS = 900; // a round's time when motion is to be reduced
const NEAR_PIXELS = 8;
const MAX_TRAILS = 200;
const maps = new WeakMap();

export default function roundMap(component) {
  const { parentElement, data } = component;
  let map = maps.get(parentElement);
  if (map && map.data.data_url !== data.data_url) {
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

class RoundMap {
  constructor(parent, component) {
    this.component = component;
    this.data = component.data;
    this.labels = this.data.labels;
    this.numbers = new Intl.NumberFormat(this.labels.locale);
    this.parts = buildControls(parent, this.labels, this.actions());
    this.parts.root.map = this; // for tests and the console
    this.gestures = new Gestures(this.parts.surface, this);
    listenToKeys(this.parts.root, this.parts.surface, this.gestures, this);
    this.startState();
    this.watch();
    this.load();
  }

  actions() {
    const names = ["toggleTrails", "clear", "setTool", "view", "step", "togglePlay", "goTo", "setFilter"];
    return Object.fromEntries(names.map((name) => [name, (...args) => this[name](...args.filter((one) => !(one instanceof Event)))]));
  }

  startState() {
    Object.assign(this, {
      map: null, margins: null, painter: null, grid: null, gridRound: -1, visible: null,
      place: 0, target: 0, shown: 0, motion: null, playing: false, zoom: 1, center: [0.5, 0.5], bounds: [0, 0, 1, 1],
      schemeName: this.data.color_by, filter: "all", isolated: new Set(), selection: null, selected: null,
      outline: [], trails: false, picked: null, hovered: null, written: null, frame: 0,
    });
    this.setTool(window.matchMedia("(pointer: coarse)").matches ? "pan" : "lasso");
  }

  /** Take what a rerun of the page sends. The round and the selection stay the viewer's unless `follow` changes. */
  update(component) {
    const before = this.data;
    this.component = component;
    this.data = component.data;
    this.parts.stage.style.height = `${this.data.height}px`;
    if (this.map && before.follow !== this.data.follow) this.followPython();
    else if (this.map) this.refresh();
  }

  followPython() {
    this.applySelection(this.data.selection);
    this.setScheme(this.data.color_by);
    this.goTo(this.data.round);
  }

  async load() {
    try {
      this.map = await fetchRoundMap(this.data.data_url);
    } catch {
      this.parts.message.textContent = this.labels.failed;
      return;
    }
    if (this.released) return;
    this.parts.message.hidden = true;
    this.bounds = mapBounds(this.map);
    this.center = [(this.bounds[0] + this.bounds[2]) / 2, (this.bounds[1] + this.bounds[3]) / 2];
    this.visible = new Uint8Array(this.map.numPoints).fill(1);
    this.makePainter();
    this.prepareControls();
    this.place = this.target = this.shown = this.clampRound(this.data.round);
    this.applySelection(this.data.selection);
    this.setScheme(this.schemeName);
  }

  makePainter() {
    this.painter = makePainter(this.parts.points, this.map, () => this.fallBack());
    this.parts.root.dataset.painter = this.painter.constructor.name;
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

  prepareControls() {
    const { parts, map, labels } = this;
    const schemes = availableSchemes(map, this.data);
    fillSchemes(parts.schemes, schemes, labels, (name) => this.chooseScheme(name));
    if (!schemes.includes(this.schemeName)) this.schemeName = "cluster";
    parts.filters.hidden = !map.heldOut.includes(1);
    markPressed(parts.filters, "filter", this.filter);
    parts.range.max = map.numRounds - 1;
    parts.player.hidden = map.numRounds < 2;
  }

  watch() {
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(this.parts.surface);
    this.onAddress = () => this.keepAddress();
    window.navigation?.addEventListener("currententrychange", this.onAddress);
  }

  release() {
    this.released = true;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.playTimer);
    this.resizes.disconnect();
    window.navigation?.removeEventListener("currententrychange", this.onAddress);
    this.painter?.release();
    this.parts.root.remove();
  }

  // Rounds

  clampRound(round) {
    return Math.max(0, Math.min(this.map.numRounds - 1, round));
  }

  step(by) {
    if (this.map) this.goTo(this.target + by);
  }

  /** Travel to a round; `playing` keeps playback on. */
  goTo(round, { playing = false } = {}) {
    if (!this.map) return;
    if (!playing) this.setPlaying(false);
    this.target = this.clampRound(round);
    const distance = Math.abs(this.target - this.place);
    const length = prefersLessMotion() ? 0 : MOTION_MS * Math.min(2, Math.sqrt(distance));
    this.motion = { from: this.place, since: performance.now(), length };
    moveRange(this.parts.range, this.target);
    this.hideCard();
    this.requestFrame();
  }

  requestFrame() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame((now) => this.advance(now));
  }

  advance(now) {
    if (this.motion) {
      const { from, since, length } = this.motion;
      const share = length > 0 ? Math.min(1, Math.max(0, (now - since) / length)) : 1;
      this.place = share < 1 ? from + (this.target - from) * easeInOut(share) : this.target;
      if (share === 1) this.motion = null;
      this.showRound(Math.abs(this.target - this.place) <= 1 ? this.target : Math.round(this.place));
    }
    this.draw();
    if (this.motion) this.requestFrame();
    else this.settle();
  }

  /** Points have arrived: go on playing, or note the round in the address, which makes no server call. */
  settle() {
    this.parts.root.dataset.round = String(this.shown);
    if (!this.playing) {
      this.writeAddress();
      return;
    }
    if (this.target === this.map.numRounds - 1) {
      this.setPlaying(false);
      this.writeAddress();
      return;
    }
    clearTimeout(this.playTimer);
    const pause = prefersLessMotion() ? PAGE_MS : PAUSE_MS;
    this.playTimer = setTimeout(() => this.playing && this.goTo(this.target + 1, { playing: true }), pause);
  }

  togglePlay() {
    if (!this.map || this.map.numRounds < 2) return;
    this.setPlaying(!this.playing);
    if (!this.playing) return;
    const atEnd = this.target === this.map.numRounds - 1;
    this.goTo(atEnd ? 0 : this.target + 1, { playing: true });
  }

  setPlaying(playing) {
    this.playing = playing;
    clearTimeout(this.playTimer);
    markPlaying(this.parts.play, playing, this.labels);
  }

  showRound(round) {
    if (round === this.shown) return;
    this.shown = round;
    this.refresh();
  }

  // The address bar: a copied link shows the same round and colours

  writeAddress() {
    if (!this.data.address || (this.written === null && !this.touched())) return;
    this.written = { path: location.pathname, values: { round: String(this.shown), color: this.schemeName } };
    this.keepAddress();
  }

  touched() {
    return this.shown !== this.clampRound(this.data.round) || this.schemeName !== this.data.color_by;
  }

  /** Put our parameters back where Streamlit rewrote the address from what Python last heard. */
  keepAddress() {
    if (!this.written || this.released || location.pathname !== this.written.path) return;
    const address = new URL(location.href);
    for (const [name, value] of Object.entries(this.written.values)) address.searchParams.set(name, value);
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }

  // Colours, filter, legend

  chooseScheme(name) {
    this.setScheme(name);
    this.writeAddress();
  }

  setScheme(name) {
    this.schemeName = availableSchemes(this.map, this.data).includes(name) ? name : "cluster";
    this.isolated = new Set();
    this.refresh();
    if (this.schemeName === "margin" && !this.margins) this.loadMargins();
  }

  async loadMargins() {
    this.margins = await fetchColumn(this.data.margin_url, this.map).catch(() => null);
    if (!this.released && this.margins) this.refresh();
  }

  setFilter(name) {
    this.filter = name;
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
    this.scheme = colorScheme(this.schemeName, map, this.shown, this);
    const look = pointLook(this.scheme, map, this);
    this.painter.setLook(look);
    parts.root.dataset.dimmed = String(look.numDimmed);
    fillLegend(parts.legend, this.scheme, this.isolated, this.numbers, (index) => this.toggleEntry(index));
    markPressed(parts.schemes, "scheme", this.schemeName);
    this.showRoundText();
    this.requestFrame();
  }

  showRoundText() {
    const { parts, labels, map } = this;
    const values = { round: this.shown, last: map.numRounds - 1 };
    parts.readout.textContent = fill(labels.round_of, values);
    moveRange(parts.range, this.target);
    parts.range.setAttribute("aria-valuetext", parts.readout.textContent);
    const counts = { points: this.numbers.format(map.numPoints), clusters: map.numClusters };
    parts.points.setAttribute("aria-label", fill(labels.alt, { ...values, ...counts, rounds: map.numRounds }));
  }

  // Selection

  applySelection(selection) {
    const usable = selection && selection.polygon?.length > 2;
    this.selection = usable ? { polygon: selection.polygon, round: this.clampRound(selection.round) } : null;
    this.selected = usable ? pointsInside(this.placesOf(this.selection.round), selection.polygon) : null;
    this.showChip();
  }

  placesOf(round) {
    return this.map.positions.subarray(2 * round * this.map.numPoints, 2 * (round + 1) * this.map.numPoints);
  }

  showOutline(screenPath) {
    const view = this.viewNow();
    this.outline = screenPath.map(([x, y]) => toMap(view, x, y));
    this.requestFrame();
  }

  /** The lasso is let go: dim the rest and send the polygon, never the points. */
  closeOutline() {
    const polygon = tidyPolygon(this.outline);
    this.outline = [];
    this.select(polygon);
  }

  select(polygon) {
    const hadOne = this.selection !== null;
    this.applySelection({ polygon, round: this.shown });
    if (!this.selected?.includes(1)) this.applySelection(null);
    this.refresh();
    if (this.selection || hadOne) this.component.setStateValue("selection", this.selection);
  }

  clear() {
    this.outline = [];
    this.isolated = new Set();
    if (this.selection) this.select([]);
    else if (this.map) this.refresh();
  }

  showChip() {
    const { parts, labels } = this;
    const count = this.selected ? this.selected.reduce((sum, one) => sum + one, 0) : 0;
    parts.chip.hidden = !this.selected;
    parts.chipText.textContent = fill(labels.selected, { count: this.numbers.format(count) });
    parts.chipTrails.hidden = count > MAX_TRAILS || this.map.numRounds < 2;
    if (parts.chipTrails.hidden) this.trails = false;
    parts.root.dataset.selected = String(count);
  }

  toggleTrails() {
    this.trails = !this.trails;
    this.parts.chipTrails.setAttribute("aria-pressed", String(this.trails));
    this.requestFrame();
  }

  // Picking and hovering

  nearest(x, y, pixels) {
    if (this.gridRound !== this.shown) {
      this.grid = buildGrid(this.placesOf(this.shown));
      this.gridRound = this.shown;
    }
    const view = this.viewNow();
    return nearestPoint(this.grid, ...toMap(view, x, y), pixels / view.scale, (i) => this.visible[i] === 1);
  }

  pickAt(x, y, pixels = NEAR_PIXELS) {
    if (!this.map || this.motion) return;
    const index = this.nearest(x, y, pixels);
    const before = this.picked;
    this.picked = index < 0 ? null : index;
    this.requestFrame();
    if (this.picked === null && before === null) return;
    this.component.setStateValue("picked", this.picked === null ? null : { index, round: this.shown });
  }

  pickCenter() {
    const view = this.viewNow();
    this.pickAt(view.width / 2, view.height / 2, Math.hypot(view.width, view.height) / 2);
  }

  hoverAt(x, y) {
    if (!this.map || this.motion) return;
    const index = this.nearest(x, y, NEAR_PIXELS);
    if (index < 0) {
      this.hideCard();
      return;
    }
    if (index !== this.hovered) fillCard(this.parts.card, this.describe(index));
    this.hovered = index;
    this.parts.surface.classList.add("over-point");
    placeCard(this.parts.card, ...toScreen(this.viewNow(), ...this.placeOf(index)), this.viewNow());
    this.requestFrame();
  }

  hasCard() {
    return this.hovered !== null;
  }

  hideCard() {
    if (this.hovered === null) return;
    this.hovered = null;
    this.parts.card.hidden = true;
    this.parts.surface.classList.remove("over-point");
    this.requestFrame();
  }

  placeOf(index) {
    const from = Math.floor(this.place);
    return placeBetween(this.map, index, from, Math.min(from + 1, this.map.numRounds - 1), this.place - from);
  }

  /** What the hover card says of a point. */
  describe(index) {
    const { map, data, labels } = this;
    const cluster = map.clusters[this.shown * map.numPoints + index];
    const name = map.classes[index] < 0 ? labels.unlabelled : data.class_names[map.classes[index]] ?? String(map.classes[index]);
    const rows = [[labels.card_cluster, String(cluster), data.palette[cluster % data.palette.length]]];
    if (map.numClasses > 0) rows.unshift([labels.card_class, name, null]);
    if (map.heldOut.includes(1)) rows.push([labels.card_split, map.heldOut[index] ? labels.filter_held_out : labels.filter_train, null]);
    if (this.margins) rows.push([labels.by_margin, (this.margins[this.shown * map.numPoints + index] / 255).toFixed(2), null]);
    const title = fill(labels.image, { id: this.numbers.format(map.ids[index]) });
    return { title, rows, initial: name.slice(0, 1), address: tileAddress(data.tile_url, index), index };
  }

  // The view

  viewNow() {
    const { clientWidth: width, clientHeight: height } = this.parts.surface;
    const [left, bottom, right, top] = this.bounds;
    const room = (side) => Math.max(40, side - 48);
    const fitted = Math.min(room(width) / Math.max(right - left, 1e-6), room(height) / Math.max(top - bottom, 1e-6));
    return { x: this.center[0], y: this.center[1], scale: fitted * this.zoom, width, height, ratio: window.devicePixelRatio || 1 };
  }

  view(what) {
    if (!this.map) return;
    const { width, height } = this.viewNow();
    if (what === "closer" || what === "wider") this.zoomBy(what === "closer" ? 1.4 : 1 / 1.4, width / 2, height / 2);
    if (what === "fit") this.fit();
    if (what === "all") this.selectView();
  }

  fit() {
    this.zoom = 1;
    this.center = [(this.bounds[0] + this.bounds[2]) / 2, (this.bounds[1] + this.bounds[3]) / 2];
    this.requestFrame();
  }

  /** Select what is in view: with zoom and pan keys, the way to select without a pointer. */
  selectView() {
    const view = this.viewNow();
    const corners = [[0, 0], [view.width, 0], [view.width, view.height], [0, view.height]];
    this.select(tidyPolygon(corners.map(([x, y]) => toMap(view, x, y))));
  }

  zoomBy(factor, x, y) {
    if (!this.map) return;
    const before = toMap(this.viewNow(), x, y);
    this.zoom = Math.max(0.5, Math.min(80, this.zoom * factor));
    const after = toMap(this.viewNow(), x, y);
    this.center = this.center.map((value, axis) => value + before[axis] - after[axis]);
    this.hideCard();
    this.requestFrame();
  }

  panBy(dx, dy) {
    const { scale } = this.viewNow();
    this.center = [this.center[0] - dx / scale, this.center[1] + dy / scale];
    this.requestFrame();
  }

  setTool(name) {
    this.tool = name;
    this.parts.surface.dataset.tool = name;
    markPressed(this.parts.tools, "tool", name);
  }

  hintZoom() {
    this.parts.hint.classList.add("shown");
    clearTimeout(this.hintTimer);
    this.hintTimer = setTimeout(() => this.parts.hint.classList.remove("shown"), 1200);
  }

  // Drawing

  draw() {
    const view = this.viewNow();
    if (!this.painter || this.released || view.width === 0) return;
    const from = Math.floor(this.place);
    const to = Math.min(from + 1, this.map.numRounds - 1);
    this.painter.draw({ from, to, progress: this.place - from, size: this.pointSize(view) }, view);
    paintOverlay(this.parts.overlay, view, this.overlayParts());
    this.markReady();
  }

  pointSize(view) {
    const crowded = 0.36 * Math.sqrt((view.width * view.height) / this.map.numPoints);
    return Math.min(16, Math.max(2.8, Math.min(9, crowded)) * this.zoom ** 0.4);
  }

  overlayParts() {
    const style = getComputedStyle(this.parts.root);
    const marked = this.hovered ?? this.picked;
    return {
      outline: this.outline,
      trails: this.trails ? this.trailPaths() : [],
      ring: marked === null ? null : this.placeOf(marked),
      cross: this.gestures.byKeyboard && this.parts.surface.matches(":focus"),
      accent: style.getPropertyValue("--accent"),
      halo: style.getPropertyValue("--paper"),
    };
  }

  trailPaths() {
    const paths = [];
    this.selected?.forEach((chosen, i) => {
      if (!chosen || !this.visible[i]) return;
      const places = Array.from({ length: this.map.numRounds }, (_, r) => placeBetween(this.map, i, r, r, 0));
      paths.push({ places, color: this.scheme.colors[this.scheme.codes[i]] });
    });
    return paths.slice(0, MAX_TRAILS);
  }

  markReady() {
    const { root } = this.parts;
    if (root.dataset.ready) return;
    root.dataset.ready = "true";
    performance.mark("vitviz-round-map-ready");
  }
}

function easeInOut(share) {
  return share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2;
}

function prefersLessMotion() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}
