// A picture with labels, boundaries and heat over it; steps are scrubbed here. Python hears of pins and of a settled step.

const SETTLE_MS = 300;
const PLAY_MS = 500;
const canvases = new WeakMap();

export default function imageCanvas(component) {
  const { parentElement } = component;
  const canvas = canvases.get(parentElement) ?? new ImageCanvas(parentElement, component);
  canvases.set(parentElement, canvas);
  canvas.update(component);
  return () => {
    if (parentElement.isConnected) return; // Streamlit also cleans up after a render that a newer one overtook
    canvas.release();
    canvases.delete(parentElement);
  };
}

class ImageCanvas {
  constructor(parent, component) {
    const { data } = component;
    Object.assign(this, { component, parent, data: {} });
    Object.assign(this, { pins: [], step: 0, base: 0, hover: null, blinks: false, held: false, smooth: false });
    Object.assign(this, { mode: data.mode, fillAlpha: data.alpha, heatAlpha: data.heat_alpha });
    this.layers = new Layers((failed) => this.arrived(failed));
    this.drawing = new Drawing(this);
    this.resizes = new ResizeObserver(() => this.drawing.fit());
    this.build(data.labels);
  }

  /** Build the elements with these texts, anew when the reader has chosen another language. */
  build(labels) {
    this.parts?.root.remove();
    this.resizes.disconnect();
    this.labels = labels;
    this.parts = buildControls(this.parent, labels, this.actions());
    this.parts.root.canvas = this; // for tests and the console
    this.drawing.size = null;
    listenToPointer(this.parts.surface, this);
    listenToKeys(this.parts.root, this.parts.surface, this);
    this.parts.picture.addEventListener("load", () => this.drawn());
    this.parts.picture.addEventListener("error", () => this.say(this.labels.failed));
    this.resizes.observe(this.parts.root);
  }

  actions() {
    return {
      setMode: (mode) => this.change({ mode }),
      setAlpha: (alpha) => this.change(this.layers.heat ? { heatAlpha: alpha } : { fillAlpha: alpha }),
      toggleBlink: () => this.change({ blinks: !this.blinks }),
      toggleSmooth: () => this.change({ smooth: !this.smooth }),
      step: (by) => this.stepBy(by),
      goTo: (step) => this.goTo(step),
      togglePlay: () => this.togglePlay(),
      clear: () => this.clear(),
    };
  }

  /** Take what a rerun of the page sends. Pins, step and picture stay the viewer's unless `follow` changes. */
  update(component) {
    const before = this.data;
    Object.assign(this, { component, data: component.data });
    if (JSON.stringify(this.labels) !== JSON.stringify(this.data.labels)) this.build(this.data.labels);
    if (before.follow !== this.data.follow) this.followPython();
    this.layers.take(this.data);
    this.base = Math.min(this.base, this.data.bases.length - 1);
    this.drawing.fit();
    this.refresh();
  }

  followPython() {
    this.stop();
    clearTimeout(this.telling);
    this.layers.drop(this.data);
    this.say("");
    Object.assign(this, { pins: this.data.pins.map(([x, y]) => [x, y]), step: this.data.step, base: this.data.base, hover: null });
    this.told = this.view();
  }

  /** A layer is here. Only when none is under way is the number of steps known. */
  arrived(failed) {
    if (this.released) return;
    this.say(failed ? this.labels.failed : "");
    if (this.layers.pending === 0) this.step = Math.min(this.step, this.numSteps() - 1);
    this.refresh();
  }

  release() {
    this.released = true;
    this.stop();
    clearTimeout(this.telling);
    this.drawing.release();
    this.resizes.disconnect();
    this.parts.root.remove();
  }

  // What the viewer does

  change(values) {
    Object.assign(this, values);
    this.refresh();
  }

  /** The photo alone, while B is held or the button is pressed. */
  isBare() {
    return this.blinks || this.held;
  }

  hold(held) {
    if (this.held !== held) this.change({ held });
  }

  numSteps() {
    return this.layers.steps();
  }

  stepBy(by) {
    this.goTo(this.step + by);
  }

  goTo(step) {
    this.stop();
    this.showStep(step);
    this.tellSoon();
  }

  showStep(step) {
    this.change({ step: Math.min(Math.max(step, 0), this.numSteps() - 1) });
  }

  togglePlay() {
    if (this.playing) {
      this.goTo(this.step);
      return;
    }
    if (this.step === this.numSteps() - 1) this.showStep(0);
    this.playing = setInterval(() => this.playOn(), PLAY_MS);
    markPlaying(this.parts.play, true, this.labels);
  }

  playOn() {
    if (this.step + 1 < this.numSteps() - 1) this.showStep(this.step + 1);
    else this.goTo(this.step + 1);
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    markPlaying(this.parts.play, false, this.labels);
  }

  pinAt(x, y) {
    if (this.data.max_pins < 1) return;
    this.change({ pins: [...this.pins, [x, y]].slice(-this.data.max_pins) });
    this.tell();
  }

  /** Move the last pin by cells; without one, begin in the middle. */
  movePin(right, down) {
    const grid = this.layers.grid();
    if (this.data.max_pins < 1 || !grid) return;
    const pin = this.pins.at(-1);
    const { row, column } = cellAt(grid, ...(pin ?? [0.5, 0.5]));
    const cells = pin ? this.data.pin_stride : 0;
    const x = Math.min(Math.max(column + right * cells, 0), grid.columns - 1);
    const y = Math.min(Math.max(row + down * cells, 0), grid.rows - 1);
    this.change({ pins: [...this.pins.slice(0, -1), [(x + 0.5) / grid.columns, (y + 0.5) / grid.rows]], hover: null });
    this.tellSoon();
  }

  hoverAt(x, y) {
    this.hover = x === null || !this.layers.grid() ? null : [x, y];
    this.drawing.request();
  }

  clear() {
    if (this.pins.length === 0) return;
    this.change({ pins: [] });
    this.tell();
  }

  // What Python hears

  tellSoon() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), SETTLE_MS);
  }

  tell() {
    clearTimeout(this.telling);
    const view = this.view();
    const what = ({ pins, step }) => JSON.stringify([pins, this.data.tell_step ? step : null]);
    const isNews = what(view) !== what(this.told);
    this.told = view;
    if (isNews) this.component.setStateValue("view", view);
  }

  view() {
    return { pins: this.pins.map(([x, y]) => [x, y, this.layers.idAt(x, y, this.step)]), step: this.step, follow: this.data.follow };
  }

  // What is shown

  refresh() {
    this.showBase();
    this.showControls();
    this.showPlayer();
    this.drawing.paint();
    this.drawing.request();
  }

  showBase() {
    const { picture, surface, bases } = this.parts;
    const { url } = this.data.bases[this.isBare() ? 0 : this.base];
    fillBases(bases, this.data.bases.map((one) => one.label), (base) => this.change({ base }));
    markPressed(bases, "base", this.base);
    picture.alt = this.data.alt;
    surface.setAttribute("aria-label", `${this.data.alt}. ${this.labels.picture}`);
    if (picture.getAttribute("src") !== url) picture.src = url;
  }

  showControls() {
    const { parts, data, layers } = this;
    offer(parts.modes, "mode", layers.labels ? data.modes : []);
    parts.alpha.hidden = !layers.heat && !this.drawing.hasColors();
    parts.blink.hidden = !layers.grid() && data.bases.length < 2;
    parts.clear.hidden = this.pins.length === 0;
    markPressed(parts.modes, "mode", this.mode);
    parts.blink.setAttribute("aria-pressed", String(this.blinks));
    parts.smooth.hidden = !data.can_smooth || !layers.heat;
    parts.smooth.setAttribute("aria-pressed", String(this.smooth));
    parts.heat.classList.toggle("blended", data.can_smooth && this.smooth);
    moveRange(parts.alpha.querySelector("input"), layers.heat ? this.heatAlpha : this.fillAlpha);
    showHeatBar(parts.heatBar, Boolean(layers.heat), data);
    parts.keys.hidden = data.max_pins < 1;
    parts.keys.textContent = this.numSteps() > 1 ? this.labels.keys_steps : this.labels.keys;
    parts.surface.setAttribute("aria-description", data.max_pins < 1 ? this.labels.idle_bare : parts.keys.textContent);
  }

  showPlayer() {
    const { parts } = this;
    const last = this.numSteps() - 1;
    const count = this.data.step_texts[this.step] ?? fill(this.labels.step_of, { name: this.data.step_name, step: this.step, last });
    parts.player.hidden = last < 1;
    parts.range.max = last;
    moveRange(parts.range, this.step, count);
    parts.count.textContent = count;
  }

  /** After the lines are drawn, or the picture is here: the readout, and attributes that tests wait for. */
  drawn() {
    const { data, layers, parts } = this;
    const text = this.readout();
    if (parts.readout.textContent !== text) parts.readout.textContent = text;
    Object.assign(parts.root.dataset, { step: this.step, mode: this.mode, pins: this.pins.length, bare: this.isBare() });
    const isComplete = parts.picture.complete && (!data.labels_url || layers.labels) && (!data.heat_url || layers.heat);
    if (isComplete && !parts.root.dataset.ready) performance.mark("vitviz-image-canvas-ready");
    if (isComplete) parts.root.dataset.ready = "true";
    else delete parts.root.dataset.ready;
  }

  readout() {
    const places = this.hover ? [this.hover] : this.pins;
    if (places.length && this.layers.grid()) return places.map(([x, y]) => this.describe(x, y)).join(" · ");
    if (this.drawing.stretched) return fill(this.labels.stretched, this.data);
    return this.data.max_pins > 0 ? this.labels.idle : this.labels.idle_bare;
  }

  describe(x, y) {
    const { layers, data, step } = this;
    const cell = cellAt(layers.grid(), x, y);
    const id = layers.idAt(x, y, step);
    const named = layers.readsLabels() ? (data.id_texts[id] ?? data.id_text) : this.labels.cell;
    const text = fill(named, { ...cell, id, size: data.sizes[id] ?? "" });
    if (!this.drawing.showsHeat()) return text;
    const heat = layers.heatAt(x, y, step);
    const isShare = data.heat_min === 0 && data.heat_max === 1;
    return `${text}, ${data.heat_title} ${isShare ? heat.toFixed(2) : heatText(heat, data.heat_min, data.heat_max, 3)}`;
  }

  say(text) {
    this.parts.message.textContent = text;
    this.parts.message.hidden = !text;
  }
}
