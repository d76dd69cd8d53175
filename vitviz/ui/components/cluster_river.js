// The river of clusters: blocks and bands as SVG, each a button; a press tells Python which one.

const LABEL_ROOM = 13;
const SVG = "http://www.w3.org/2000/svg";
const rivers = new WeakMap();

export default function clusterRiver(component) {
  const { parentElement } = component;
  const river = rivers.get(parentElement) ?? new ClusterRiver(parentElement);
  rivers.set(parentElement, river);
  river.update(component);
  return () => {
    if (parentElement.isConnected) return;
    river.release();
    rivers.delete(parentElement);
  };
}

class ClusterRiver {
  constructor(parent) {
    this.line = element("p", { class: "line", "aria-hidden": "true" });
    this.scroll = element("div", { class: "scroll" });
    this.keys = element("p", { class: "keys" });
    this.root = element("div", { class: "cluster-river" }, this.line, this.scroll, this.keys);
    parent.append(this.root);
    this.scroll.addEventListener("click", (event) => this.press(event.target));
    this.scroll.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["pointerover", "focusin"]) this.scroll.addEventListener(name, (event) => this.tell(event.target));
    for (const name of ["pointerleave", "focusout"]) this.scroll.addEventListener(name, () => this.tell(null));
    this.resizes = new ResizeObserver(() => this.resize());
    this.resizes.observe(this.root);
  }

  update(component) {
    this.component = component;
    const { picked, follow, ...shown } = component.data;
    const latest = JSON.stringify(shown);
    if (follow !== this.data?.follow) this.picked = picked ?? null;
    this.data = component.data;
    if (latest === this.latest) return this.follow();
    this.latest = latest;
    this.numbers = new Intl.NumberFormat(shown.locale);
    this.keys.textContent = shown.words.keys;
    this.draw();
  }

  /** Mark what is picked on the shapes that stand: drawn anew, a second press on them would meet nothing. */
  follow() {
    this.mark();
    if (!this.root.classList.contains("asked")) this.tell(null);
  }

  resize() {
    if (this.data && this.root.clientWidth && this.root.clientWidth !== this.drawnFor) this.draw();
  }

  release() {
    this.resizes.disconnect();
    this.root.remove();
  }

  draw() {
    const { data, root, scroll } = this;
    const hadFocus = root.contains(root.getRootNode().activeElement);
    this.drawnFor = root.clientWidth;
    this.plan = layOutRiver(data, Math.max(300, root.clientWidth));
    const { width, height } = this.plan;
    const moving = this.plan.bands.filter((band) => band.moves).length;
    const values = { rounds: data.sizes.length, clusters: data.names.length, bands: this.numbers.format(moving) };
    const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": fill(data.words.alt, values) });
    svg.append(...this.bands(), ...this.blocks(), ...this.labels(), ...this.rounds(), ...this.shares());
    scroll.replaceChildren(svg);
    this.columns = columnsOf(svg);
    this.mark();
    this.hold(svg.querySelector(`[data-at="${this.held ?? this.picked ?? ""}"]`) ?? svg.querySelector(".block"), hadFocus);
    this.tell(null);
    root.dataset.ready = "true";
  }

  bands() {
    const { bands } = this.plan;
    const ordered = [...bands.filter((band) => !band.moves), ...bands.filter((band) => band.moves)];
    return ordered.map((band) => {
      const at = [band.round, band.source, band.target].join("_");
      const kind = band.moves ? "band moves" : "band";
      return thing("path", { class: kind, d: bandPath(band), fill: this.data.colors[band.source], stroke: this.data.colors[band.source] }, {
        at, column: 2 * band.round + 1, y: (band.y0 + band.y1 + band.height) / 2, text: this.bandText(band),
      });
    });
  }

  bandText(band) {
    const { words, names, has_classes: hasClasses } = this.data;
    const values = { count: this.numbers.format(band.count), source: names[band.source], target: names[band.target], round: band.round, next: band.round + 1 };
    const text = fill(band.moves ? words.band : words.stays, values);
    const tellsSides = hasClasses && (band.repaired || band.broken);
    return tellsSides ? `${text} · ${fill(words.sides, { repaired: band.repaired, broken: band.broken })}` : text;
  }

  blocks() {
    const { words, names, colors, only_moves: onlyMoves } = this.data;
    const said = onlyMoves ? words.moving_block : words.block;
    return this.plan.blocks.flat().filter((block) => block.count > 0).map((block) => {
      const text = fill(said, { cluster: names[block.cluster], round: block.round, count: this.numbers.format(block.count) });
      const shape = { x: block.x, y: block.y, width: BLOCK_WIDTH, height: Math.max(1, block.height), fill: colors[block.cluster] };
      return thing("rect", { class: "block", ...shape }, { at: `${block.round}_${block.cluster}`, column: 2 * block.round, y: block.y + block.height / 2, text });
    });
  }

  /** Names of the clusters at both ends, where there is room for them. */
  labels() {
    const last = this.data.sizes.length - 1;
    const ends = [[this.plan.blocks[0], -6, "end"], ...(last ? [[this.plan.blocks[last], BLOCK_WIDTH + 6, "start"]] : [])];
    return ends.flatMap(([column, offset, anchor]) => {
      let below = -Infinity;
      return column.filter((block) => block.count > 0).flatMap((block) => {
        const middle = block.y + block.height / 2;
        if (middle - below < LABEL_ROOM) return [];
        below = middle;
        const label = drawn("text", { class: "name", x: block.x + offset, y: middle + 4, "text-anchor": anchor, "aria-hidden": "true" });
        label.textContent = shortened(this.data.names[block.cluster], this.plan.labelWidth);
        return [label];
      });
    });
  }

  rounds() {
    const { columns, height } = this.plan;
    return columns.map((x, round) => {
      const label = drawn("text", { class: "round", x: x + BLOCK_WIDTH / 2, y: height - 6, "text-anchor": "middle", "aria-hidden": "true" });
      const isAlone = round === 0 && this.plan.labelWidth > 60;
      label.textContent = isAlone ? `${this.data.words.round} 0` : String(round);
      return label;
    });
  }

  /** Between two rounds, how many of the images move. */
  shares() {
    const { columns, height } = this.plan;
    const percent = new Intl.NumberFormat(this.data.locale, { style: "percent", maximumSignificantDigits: 2 });
    return this.data.moved.map((share, round) => {
      const text = fill(this.data.words.moved, { share: percent.format(share), round, next: round + 1 });
      const x = (columns[round] + columns[round + 1] + BLOCK_WIDTH) / 2;
      const label = drawn("text", { class: "share", x, y: height - 6, "text-anchor": "middle", role: "img", "aria-label": text });
      label.textContent = percent.format(share);
      return label;
    });
  }

  /** Show the words of what is pointed at, else of what is picked. */
  tell(target) {
    const one = target?.closest?.("[data-at]") ?? this.scroll.querySelector(`[data-at="${this.picked ?? ""}"]`);
    this.line.textContent = one?.getAttribute("aria-label") ?? "";
    this.root.classList.toggle("asked", Boolean(target?.closest?.("[data-at]")));
    for (const shape of this.scroll.querySelectorAll(".near")) shape.classList.remove("near");
    if (!target?.closest?.("[data-at]")) return;
    for (const shape of touching(this.scroll, one.dataset.at)) shape.classList.add("near");
  }

  press(target) {
    const one = target.closest?.("[data-at]");
    if (!one) return;
    this.hold(one, true);
    this.pick(one.dataset.at === this.picked ? null : one.dataset.at);
  }

  pick(at) {
    if (at === this.picked) return;
    this.picked = at;
    this.mark();
    this.component.setStateValue("picked", at);
  }

  mark() {
    for (const shape of this.scroll.querySelectorAll("[data-at]")) {
      shape.setAttribute("aria-pressed", String(shape.dataset.at === this.picked));
    }
    this.root.classList.toggle("has-picked", this.picked !== null);
    this.root.dataset.picked = this.picked ?? "";
  }

  /** One shape at a time is in the order of the Tab key. */
  hold(shape, focus) {
    for (const other of this.scroll.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", -1);
    if (!shape) return;
    shape.setAttribute("tabindex", 0);
    this.held = shape.dataset.at;
    if (focus) shape.focus();
  }

  key(event) {
    const one = event.target.closest("[data-at]");
    if (!one || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = neighbor(this.columns, one, event.key);
    if (next) this.hold(next, true);
    else if (event.key === "Enter" || event.key === " ") this.press(one);
    else if (event.key === "Escape") this.pick(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** A shape that is a button, with its place in the order of the arrow keys. */
function thing(tag, attributes, { at, column, y, text }) {
  const made = drawn(tag, { ...attributes, role: "button", tabindex: -1, "aria-pressed": "false", "aria-label": text, "data-at": at });
  Object.assign(made, { column, middle: y });
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Shapes by column, blocks and bands in turn, each from the top down. */
function columnsOf(svg) {
  const columns = [];
  for (const shape of svg.querySelectorAll("[data-at]")) (columns[shape.column] ??= []).push(shape);
  for (const column of columns) column?.sort((a, b) => a.middle - b.middle);
  return columns;
}

function neighbor(columns, shape, key) {
  const column = columns[shape.column];
  const index = column.indexOf(shape);
  if (key === "ArrowUp") return column[Math.max(0, index - 1)];
  if (key === "ArrowDown") return column[Math.min(column.length - 1, index + 1)];
  const all = columns.filter(Boolean);
  const place = all.indexOf(column) + { ArrowLeft: -1, ArrowRight: 1 }[key];
  const wanted = { Home: all[0], End: all.at(-1) }[key] ?? all[Math.max(0, Math.min(all.length - 1, place))];
  return wanted?.reduce((best, one) => (Math.abs(one.middle - shape.middle) < Math.abs(best.middle - shape.middle) ? one : best));
}

/** A shape and what it touches: a block's bands, a band's two blocks. */
function touching(scroll, at) {
  const [round, source, target] = at.split("_").map(Number);
  return [...scroll.querySelectorAll("[data-at]")].filter((shape) => {
    const [r, s, t] = shape.dataset.at.split("_").map(Number);
    if (shape.dataset.at === at) return true;
    if (target === undefined) return t !== undefined && ((r === round && s === source) || (r === round - 1 && t === source));
    return t === undefined && ((r === round && s === source) || (r === round + 1 && s === target));
  });
}

function shortened(name, width) {
  const most = Math.max(4, Math.floor((width - 12) / CHARACTER));
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}
