// A square matrix of all pairs of images as cells: one is pinned by a click, a block selected by a drag. Python hears of both.

const SETTLE_MS = 300;
const PATHS = {
  outlines: "M2 2h6v6H2zM8 8h6v6H8z",
  ideal: "M1.500 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8ZM8 6.200a1.800 1.800 0 1 0 0 3.600 1.800 1.800 0 0 0 0-3.600Z",
  select: "M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M5 5h6v6H5z",
  clear: "m4 4 8 8M12 4l-8 8",
};
const canvases = new WeakMap();

export default function matrixCanvas(component) {
  const { parentElement } = component;
  const canvas = canvases.get(parentElement) ?? new MatrixCanvas(parentElement, component);
  canvases.set(parentElement, canvas);
  canvas.update(component);
  return () => {
    if (parentElement.isConnected) return; // Streamlit also cleans up after a render that a newer one overtook
    canvas.release();
    canvases.delete(parentElement);
  };
}

class MatrixCanvas {
  constructor(parent, component) {
    Object.assign(this, { component, data: {}, cells: null, address: null, pin: null, block: null, hover: null });
    Object.assign(this, { outlines: false, blinks: false, held: false, selects: false });
    this.parts = this.build(component.data.words);
    parent.append(this.parts.root);
    this.parts.root.canvas = this; // for tests and the console
    listenToPointer(this.parts.surface, this);
    listenToKeys(this.parts.root, this.parts.surface, this);
    this.resizes = new ResizeObserver(() => this.fit());
    this.resizes.observe(this.parts.root);
  }

  build(words) {
    const tool = (name, act) => button({ "aria-pressed": "false", "data-tool": name, title: words[name] }, act, icon(PATHS[name]), words[name]);
    const [cells, lines] = ["cells", "lines"].map((kind) => element("canvas", { class: kind, "aria-hidden": "true" }));
    const message = element("p", { class: "message", role: "status", hidden: true });
    const surface = element("div", { class: "surface", tabindex: 0, role: "application" }, cells, lines, message);
    const numbers = [0, 1, 2].map(() => element("span", {}));
    const heatBar = element("div", { class: "heat-bar" }, element("span", { class: "heat-title" }), element("span", { class: "ramp" }), element("span", { class: "numbers" }, ...numbers));
    const tools = {
      outlines: tool("outlines", () => this.change({ outlines: !this.outlines })),
      ideal: tool("ideal", () => this.change({ blinks: !this.blinks })),
      select: tool("select", () => this.change({ selects: !this.selects })),
      clear: tool("clear", () => this.clear()),
    };
    const readout = element("p", { class: "readout", role: "status" });
    const keys = element("p", { class: "keys" }, words.keys);
    const bar = element("div", { class: "bar" }, ...Object.values(tools));
    const root = element("div", { class: "matrix-canvas" }, bar, surface, heatBar, readout, keys);
    return { root, surface, cells, lines, message, heatBar, numbers, readout, keys, ...tools };
  }

  /** Take what a rerun of the page sends. Pin and block stay the viewer's unless `follow` changes. */
  update(component) {
    const before = this.data;
    Object.assign(this, { component, data: component.data });
    if (before.follow !== this.data.follow) {
      clearTimeout(this.telling);
      Object.assign(this, { pin: this.data.pin, block: this.data.block, hover: null, corner: null });
      this.told = this.view();
    }
    if (this.address !== this.data.heat_url) this.load(this.data.heat_url);
    this.fit();
  }

  async load(address) {
    this.address = address;
    const cells = await fetchCells(address).catch(() => null);
    if (this.address !== address || this.released) return; // a newer request has overtaken this one
    if (cells) this.cells = { ...cells, address };
    else this.address = null;
    this.parts.message.hidden = Boolean(cells);
    this.parts.message.textContent = cells ? "" : this.data.words.failed;
    this.refresh();
  }

  release() {
    this.released = true;
    clearTimeout(this.telling);
    cancelAnimationFrame(this.frame);
    this.resizes.disconnect();
    this.parts.root.remove();
  }

  // What the viewer does

  change(values) {
    Object.assign(this, values);
    this.refresh();
  }

  hold(held) {
    if (this.held !== held) this.change({ held });
  }

  size() {
    return this.data.ids.length;
  }

  middle() {
    return this.pin ?? [Math.floor(this.size() / 2), Math.floor(this.size() / 2)];
  }

  cellAt(x, y) {
    return [y, x].map((place) => this.inside(Math.floor(place * this.size())));
  }

  inside(cell) {
    return Math.min(Math.max(cell, 0), this.size() - 1);
  }

  pinAt(cell) {
    this.change({ pin: cell, block: null, corner: null });
    this.tell();
  }

  movePin(down, right) {
    const [row, column] = this.middle();
    const by = this.pin ? 1 : 0; // the first key shows where the pin begins
    this.change({ pin: [this.inside(row + by * down), this.inside(column + by * right)], block: null, corner: null, hover: null });
    this.tellSoon();
  }

  drag(from, to) {
    this.dragging ??= { pin: this.pin, block: this.block };
    const [top, left] = from.map((cell, axis) => Math.min(cell, to[axis]));
    const [bottom, right] = from.map((cell, axis) => Math.max(cell, to[axis]) + 1);
    this.change({ block: [top, bottom, left, right], pin: null, hover: null });
  }

  settle() {
    this.dragging = null;
    this.tell();
  }

  giveUp() {
    if (this.dragging) this.change(this.dragging);
    this.dragging = null;
  }

  /** Begin a block at the pin, or move the corner of the block that was reached last. */
  extend(down, right) {
    if (!this.corner || !this.block) this.corner = { from: this.middle(), to: this.middle() };
    const { from, to } = this.corner;
    this.corner = { from, to: [this.inside(to[0] + down), this.inside(to[1] + right)] };
    this.drag(from, this.corner.to);
    this.dragging = null;
    this.tellSoon();
  }

  hoverAt(cell) {
    this.hover = cell;
    this.showReadout();
  }

  clear() {
    if (!this.pin && !this.block) return;
    this.change({ pin: null, block: null, corner: null });
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
    const isNews = JSON.stringify(view) !== JSON.stringify(this.told);
    this.told = view;
    if (isNews) this.component.setStateValue("view", view);
  }

  view() {
    return { pin: this.pin ?? null, block: this.block ?? null, follow: this.data.follow };
  }

  // What is shown

  /** As wide as there is room, no taller than wanted. */
  fit() {
    const { root, surface, lines } = this.parts;
    const side = Math.floor(Math.min(root.clientWidth, this.data.max_height));
    if (!side) return;
    Object.assign(surface.style, { width: `${side}px`, height: `${side}px` });
    this.ratio = window.devicePixelRatio || 1;
    Object.assign(lines, { width: Math.round(side * this.ratio), height: Math.round(side * this.ratio) });
    this.refresh();
  }

  isIdeal() {
    return this.blinks || this.held;
  }

  refresh() {
    const { parts, data } = this;
    parts.surface.setAttribute("aria-label", `${data.alt}. ${data.can_point ? data.words.picture : ""}`);
    parts.surface.classList.toggle("fixed", !data.can_point);
    parts.surface.classList.toggle("selecting", this.selects);
    for (const [name, pressed] of Object.entries({ outlines: this.outlines, ideal: this.isIdeal(), select: this.selects })) {
      parts[name].setAttribute("aria-pressed", String(pressed));
    }
    parts.select.hidden = !data.can_point;
    parts.keys.hidden = !data.can_point;
    parts.clear.hidden = !this.pin && !this.block;
    this.showHeatBar();
    this.showReadout();
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const { parts, data, cells, ratio } = this;
    const side = parts.lines.width;
    const context = parts.lines.getContext("2d");
    context.clearRect(0, 0, side, side);
    const drawn = `${this.isIdeal() ? data.ideal : cells?.address}`; // of the cells here, not of those on their way
    if (this.drawn !== drawn && (cells || this.isIdeal())) {
      if (this.isIdeal()) paintIdeal(parts.cells, data.ideal, data.ideal_colors);
      else paintHeatCells(parts.cells, cells, data.heat_colors);
      this.drawn = drawn;
    }
    if (this.outlines) strokeOn(context, blockEdges(data.ids, side), ratio, "white");
    if (this.block) drawBlock(context, this.block, this.size(), side, ratio);
    if (this.pin) drawPin(context, this.pin, this.size(), side, ratio);
    const isReady = cells?.address === data.heat_url;
    Object.assign(parts.root.dataset, { pins: this.pin ? 1 : 0, block: this.block ? this.block.join(" ") : "" });
    if (isReady) parts.root.dataset.ready = "true";
    else delete parts.root.dataset.ready;
  }

  showHeatBar() {
    const { data, parts } = this;
    parts.heatBar.children[0].textContent = data.heat_title;
    parts.heatBar.children[1].style.background = `linear-gradient(to right, ${data.heat_colors.join(", ")})`;
    parts.numbers.forEach((one, place) => (one.textContent = String(Number(((place / 2) * data.heat_max).toPrecision(2)))));
  }

  showReadout() {
    const text = this.readout();
    if (this.parts.readout.textContent !== text) this.parts.readout.textContent = text;
  }

  readout() {
    const { data, cells } = this;
    const cell = this.hover ?? this.pin;
    if (this.block && !this.hover) {
      const [top, bottom, left, right] = this.block;
      return fill(data.words.block, { top, bottom: bottom - 1, left, right: right - 1 });
    }
    if (!cell || !cells) return data.can_point ? data.words.idle : data.words.idle_bare;
    const value = ((cells.values[cell[0] * cells.size + cell[1]] ?? 0) / 255) * data.heat_max;
    return `${fill(data.words.cell, { row: cell[0], column: cell[1] })}, ${data.heat_title} ${Number(value.toPrecision(3))}`;
  }
}
