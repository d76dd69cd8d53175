// The views of one object around a ring by angle, each joined to the images it takes most from. A click picks a pair.

const RADIUS = 372; // of 1,000 units across
const STAGGER = 21;
const OUTSIDE = [436, 466, 494];
const LABEL_EVERY = 45;
const rings = new WeakMap();

export default function turnRing(component) {
  const { parentElement } = component;
  const ring = rings.get(parentElement) ?? new TurnRing(parentElement, component);
  rings.set(parentElement, ring);
  ring.update(component);
  return () => {
    if (parentElement.isConnected) return; // Streamlit also cleans up after a render that a newer one overtook
    ring.release();
    rings.delete(parentElement);
  };
}

/** The point of 1,000 x 1,000 at an angle in degrees, 0 on top, clockwise. */
function pointAt(degrees, radius) {
  const turn = (degrees * Math.PI) / 180;
  return [500 + radius * Math.sin(turn), 500 - radius * Math.cos(turn)];
}

function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

class TurnRing {
  constructor(parent, component) {
    const { words } = component.data;
    this.drawing = shape("svg", { viewBox: "0 0 1000 1000", "aria-hidden": "true" });
    this.stops = element("div", { class: "stops", role: "group" });
    this.big = element("span", { class: "big", hidden: true });
    this.told = element("p", { role: "status" });
    this.card = element("div", { class: "card", hidden: true }, this.big, this.told);
    this.stage = element("div", { class: "stage" }, this.drawing, this.card, this.stops);
    this.root = element("div", { class: "turn-ring" }, this.stage, element("p", { class: "keys" }, words.keys));
    this.root.ring = this; // for tests and the console
    parent.append(this.root);
    this.stops.addEventListener("keydown", (event) => this.walk(event));
    this.resizes = new ResizeObserver(() => this.fit());
    this.resizes.observe(this.stage);
  }

  update(component) {
    const latest = JSON.stringify({ ...component.data, picked: null }); // that is the viewer's until `follow` changes
    Object.assign(this, { component, data: component.data });
    if (this.latest === latest) return;
    const isOther = this.follow !== this.data.follow;
    Object.assign(this, { latest, follow: this.data.follow });
    if (isOther) Object.assign(this, { picked: this.data.picked, current: 0 });
    this.build();
  }

  release() {
    this.resizes.disconnect();
    this.root.remove();
  }

  /** Everything anew: an object has 72 views, and is chosen now and then. */
  build() {
    const { data } = this;
    const hadFocus = this.stops.contains(this.root.getRootNode().activeElement);
    this.entries = data.views.flatMap((view, place) => [
      { ...view, place, degrees: place * data.degrees, isView: true },
      ...data.strangers.filter((one) => one.place === place).map((one, index) => ({ ...one, index, degrees: place * data.degrees })),
    ]);
    this.stops.setAttribute("aria-label", data.alt);
    this.stops.replaceChildren(...this.entries.map((entry, index) => this.makeStop(entry, index)));
    this.drawing.replaceChildren(...this.lines(), ...this.gaps(), ...this.labels());
    this.current = Math.min(this.current, this.entries.length - 1);
    this.mark();
    this.fit();
    this.showThumbnails();
    if (hadFocus) this.stops.children[this.current]?.focus();
    this.root.dataset.ready = "true";
  }

  makeStop(entry, index) {
    const hasPicture = Boolean(this.data.tile_url);
    const radius = entry.isView ? RADIUS + (hasPicture ? STAGGER * (entry.place % 2 ? 1 : -1) : 0) : OUTSIDE[Math.min(entry.index, OUTSIDE.length - 1)];
    const [x, y] = pointAt(entry.degrees, radius);
    const kind = `stop${entry.isView ? "" : " strange"}${hasPicture ? "" : " dot"}`;
    const stop = button({ class: kind, "aria-label": entry.title, "data-row": entry.row, tabindex: -1 }, () => this.pick(index));
    Object.assign(stop.style, { left: `${x / 10}%`, top: `${y / 10}%` });
    stop.style.setProperty("--edge", entry.color);
    stop.addEventListener("pointerenter", () => this.look(index));
    stop.addEventListener("pointerleave", () => this.look(null));
    stop.addEventListener("focus", () => this.arrive(index));
    stop.addEventListener("blur", () => this.look(null));
    return stop;
  }

  lines() {
    const inner = RADIUS - (this.data.tile_url ? 2 * STAGGER : 10);
    const links = this.data.links.map(([from, to, weight]) => {
      const [start, stop] = [from, to].map((place) => place * this.data.degrees);
      const apart = ((stop - start + 540) % 360) - 180;
      const pull = inner * (1 - 0.95 * Math.abs(Math.sin((apart * Math.PI) / 360))) - 14;
      const points = [pointAt(start, inner), pointAt(start + apart / 2, pull), pointAt(stop, inner)].map((point) => point.map((one) => one.toFixed(1)).join(" "));
      return shape("path", { class: "link", d: `M${points[0]}Q${points[1]} ${points[2]}`, ...this.lookOf(from, weight) });
    });
    const strange = this.data.strangers.map(({ place, weight }) => {
      const [near, far] = [RADIUS + STAGGER, OUTSIDE[0]].map((radius) => pointAt(place * this.data.degrees, radius).join(" "));
      return shape("path", { class: "link strange", d: `M${near}L${far}`, ...this.lookOf(place, weight) });
    });
    return [...links, ...strange];
  }

  lookOf(place, weight) {
    return { "data-from": place, "stroke-width": (1.5 + 9 * weight).toFixed(2), opacity: (0.25 + 0.7 * Math.min(weight, 1)).toFixed(2) };
  }

  gaps() {
    const radius = RADIUS + 2 * STAGGER;
    return this.data.open_gaps.map((place) => {
      const [from, to] = [0.1, 0.9].map((part) => pointAt((place + part) * this.data.degrees, radius).join(" "));
      return shape("path", { class: "gap", d: `M${from}A${radius} ${radius} 0 0 1 ${to}` });
    });
  }

  labels() {
    const turns = Array.from({ length: 360 / LABEL_EVERY }, (_, place) => place * LABEL_EVERY);
    return turns.map((degrees) => {
      const [x, y] = pointAt(degrees, RADIUS - 90);
      return shape("text", { x: x.toFixed(1), y: y.toFixed(1) }, `${degrees}°`);
    });
  }

  /** The size of stops follows that of the stage. */
  fit() {
    const wide = this.stage.clientWidth;
    if (!wide || wide === this.wide) return;
    this.wide = wide;
    this.showThumbnails();
  }

  showThumbnails() {
    const hasPicture = Boolean(this.data.tile_url);
    const side = Math.max((this.wide ?? 640) * (hasPicture ? 0.047 : 0.022), hasPicture ? 14 : 9);
    this.entries.forEach((entry, index) => {
      const stop = this.stops.children[index];
      const own = entry.isView ? side : side * 0.75;
      stop.style.setProperty("--side", `${own}px`);
      if (hasPicture) this.dress(stop, entry.row, own - 4);
    });
  }

  dress(stop, row, size) {
    const address = tileAddress(this.data.tile_url, row);
    loadTile(address).then((there) => there && showThumbnail(stop, address, row, size));
  }

  // What the viewer does

  walk(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const count = this.entries.length;
    const to = { Home: 0, End: count - 1 }[event.key] ?? (by && (this.current + by + count) % count);
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.stops.children[to].focus();
  }

  arrive(index) {
    this.current = index;
    [...this.stops.children].forEach((stop, at) => (stop.tabIndex = at === index ? 0 : -1));
    this.look(index);
  }

  /** What is looked at, in the middle, with its links alone. */
  look(index) {
    const entry = index === null ? null : this.entries[index];
    this.stage.classList.toggle("focused", entry !== null);
    for (const link of this.drawing.querySelectorAll(".link")) link.classList.toggle("of-focus", entry !== null && Number(link.dataset.from) === entry.place);
    this.card.hidden = entry === null;
    if (entry === null) return;
    this.told.textContent = entry.title;
    this.big.hidden = !this.data.tile_url;
    if (this.data.tile_url) this.dress(this.big, entry.row, 96);
  }

  /** A view picks itself and the one it takes most of; one that the picked view takes of, that one as the second. */
  pick(index) {
    const entry = this.entries[index];
    const first = this.entries.find((one) => one.isView && one.row === this.picked?.[0]);
    const isTaken = first && entry.row !== first.row && first.takes.includes(entry.row);
    if (isTaken) this.picked = [first.row, entry.row];
    else if (entry.isView) this.picked = [entry.row, entry.takes[0] ?? entry.row];
    else this.picked = [this.data.views[entry.place].row, entry.row];
    this.arrive(index);
    this.mark();
    this.component.setStateValue("view", { picked: this.picked, follow: this.data.follow });
  }

  mark() {
    this.entries.forEach((entry, index) => {
      const stop = this.stops.children[index];
      stop.setAttribute("aria-pressed", String(Boolean(this.picked?.includes(entry.row))));
      stop.tabIndex = index === this.current ? 0 : -1;
    });
  }
}
