// A map of images that plays by itself while it is in view. A press opens the page of the round it is at.

const PACE = { travel: 1100, pause: 1300 };
const HOLD_MS = 2600; // at the last round, before it begins again
const MOST_TURNS = 3;
const PLAY = "M5 3.200v9.600L12.500 8Z";
const PAUSE = "M5.500 3.500v9M10.500 3.500v9";
const liveMaps = new WeakMap();

export default function liveMap(component) {
  const { parentElement } = component;
  const live = liveMaps.get(parentElement) ?? new LiveMap(parentElement);
  liveMaps.set(parentElement, live);
  live.update(component);
  return () => {
    if (parentElement.isConnected) return; // Streamlit also cleans up after a render that a newer one overtook
    live.release();
    liveMaps.delete(parentElement);
  };
}

class LiveMap {
  constructor(parent) {
    this.canvas = element("canvas", { role: "img" });
    this.link = element("a", { class: "stage" }, this.canvas);
    this.link.addEventListener("click", (event) => followLink(event, () => this.component.setTriggerValue("opened", this.round())));
    this.play = button({ class: "play" }, () => this.toggle());
    this.range = element("input", { type: "range", min: 0, step: 1 });
    this.range.addEventListener("input", () => this.goTo(Number(this.range.value)));
    this.note = element("p", { class: "note" });
    this.caption = element("p", { class: "caption" });
    const bar = element("div", { class: "bar" }, this.play, this.range);
    this.root = element("div", { class: "live-map" }, this.link, bar, this.note, this.caption);
    this.root.live = this; // for tests and the console
    parent.append(this.root);
    Object.assign(this, { turns: 0, wanted: !prefersLessMotion(), inView: false });
    this.resizes = new ResizeObserver(() => this.fit());
    this.resizes.observe(this.link);
    this.views = new IntersectionObserver((entries) => this.see(entries.at(-1).isIntersecting), { threshold: 0.3 });
    this.views.observe(this.link);
    this.onHidden = () => this.goOnOrPause();
    document.addEventListener("visibilitychange", this.onHidden);
  }

  update(component) {
    const latest = JSON.stringify(component.data);
    Object.assign(this, { component, data: component.data });
    if (this.latest === latest) return this.paint();
    const isOther = this.mapUrl !== this.data.map_url;
    Object.assign(this, { latest, mapUrl: this.data.map_url });
    this.range.setAttribute("aria-label", this.data.words.round);
    this.caption.textContent = this.data.caption;
    this.root.style.height = `${this.data.height}px`;
    this.tellPlaying();
    return isOther ? this.load() : this.tell();
  }

  release() {
    this.motion?.release();
    clearTimeout(this.timer);
    this.resizes.disconnect();
    this.views.disconnect();
    document.removeEventListener("visibilitychange", this.onHidden);
    this.root.remove();
  }

  async load() {
    const address = this.mapUrl;
    const map = await fetchRoundMap(address).catch(() => null);
    if (address !== this.mapUrl) return;
    if (!map) return void (this.note.textContent = this.data.words.failed);
    this.motion?.release();
    const isStill = prefersLessMotion();
    const on = { frame: () => this.paint(), round: () => this.tell(), rest: () => this.arrive(), playing: () => {} };
    this.motion = new Motion(map.numRounds, isStill ? map.numRounds - 1 : 0, on, PACE);
    Object.assign(this, { map, whole: isStill, legs: new Map() });
    this.range.max = map.numRounds - 1;
    this.fit();
    this.tell();
    this.goOnOrPause();
    this.root.dataset.ready = "true";
  }

  // What plays it

  see(inView) {
    this.inView = inView;
    this.goOnOrPause();
  }

  goOnOrPause() {
    if (!this.motion) return;
    const goes = this.wanted && this.inView && !document.hidden;
    clearTimeout(this.timer);
    if (!goes) this.motion.setPlaying(false);
    else if (!this.motion.playing && !this.motion.travel) this.depart();
  }

  /** On to the next round, or from the first again. */
  depart() {
    this.whole = false;
    if (this.motion.target < this.motion.numRounds - 1) return this.motion.togglePlay();
    Object.assign(this.motion, { place: 0, target: 0, shown: 0 });
    this.paint();
    this.tell();
    this.timer = setTimeout(() => this.wanted && this.motion.togglePlay(), PACE.pause);
    return undefined;
  }

  arrive() {
    if (!this.wanted || !this.inView || document.hidden) return;
    if (this.motion.target === this.motion.numRounds - 1) this.turns += 1;
    if (this.turns < (prefersLessMotion() ? 1 : MOST_TURNS)) this.timer = setTimeout(() => this.goOnOrPause(), HOLD_MS);
    else this.want(false);
  }

  toggle() {
    this.turns = 0;
    this.want(!this.wanted);
  }

  goTo(round) {
    this.want(false);
    this.whole = false;
    this.motion?.goTo(round);
  }

  want(wanted) {
    this.wanted = wanted;
    this.tellPlaying();
    this.goOnOrPause();
  }

  // What is shown

  round() {
    return this.motion?.shown ?? 0;
  }

  /** What lies between where it comes from and where it is; at a round, the way that led there. */
  leg() {
    if (this.whole) return { from: 0, to: this.motion.numRounds - 1, progress: 1 };
    const { from, to, progress } = this.motion.between();
    return progress > 0 || from === 0 ? { from, to: progress > 0 ? to : from, progress } : { from: from - 1, to: from, progress: 1 };
  }

  moversOn({ from, to }) {
    const name = `${from}-${to}`;
    if (!this.legs.has(name)) this.legs.set(name, moversOf(this.map, from, to));
    return this.legs.get(name);
  }

  fit() {
    const [width, height] = [this.link.clientWidth, this.link.clientHeight];
    if (!this.map || !width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    this.canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    Object.assign(this, { width, height, place: livePlacer(this.map, width, height) });
    this.paint();
  }

  paint() {
    if (!this.place) return;
    const leg = this.leg();
    const { map, place, width, height, data } = this;
    const onLoad = () => this.paint();
    const scene = { map, place, width, height, onLoad, movers: this.moversOn(leg), anchors: data.anchors, palette: data.palette, tile_url: data.tile_url };
    paintLive(this.canvas.getContext("2d"), scene, leg, getComputedStyle(this.note).color);
    this.root.dataset.place = this.motion.place.toFixed(3);
  }

  tell() {
    if (!this.motion) return;
    const { data, range } = this;
    const round = this.round();
    const note = this.whole ? data.change : data.notes[round];
    this.note.textContent = note;
    range.value = round;
    range.setAttribute("aria-valuetext", note);
    range.style.setProperty("--share", String(round / Math.max(1, Number(range.max))));
    this.link.href = data.address.replace("{round}", String(round));
    this.link.title = fill(data.words.open, { round });
    this.link.setAttribute("aria-label", this.link.title);
    this.canvas.setAttribute("aria-label", fill(data.words.alt, { round }));
  }

  tellPlaying() {
    const text = this.wanted ? this.data.words.pause : this.data.words.play;
    this.play.setAttribute("aria-label", text);
    this.play.title = text;
    this.play.replaceChildren(icon(this.wanted ? PAUSE : PLAY));
  }
}
