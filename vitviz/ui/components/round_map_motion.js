// Where the map is between the rounds, and how it travels there.

const MOTION_MS = 500;
const PAUSE_MS = 350;
const PAGE_MS = 900; // a round's time when motion is to be reduced

class Motion {
  /** `on` has frame(), round(), rest() and playing(): what to do when each changes. `pace`: milliseconds of a journey and of a stop. */
  constructor(numRounds, start, on, pace = { travel: MOTION_MS, pause: PAUSE_MS }) {
    Object.assign(this, { numRounds, on, pace, travel: null, playing: false, frame: 0 });
    this.place = this.target = this.shown = this.clamp(start);
  }

  clamp(round) {
    return Math.max(0, Math.min(this.numRounds - 1, round));
  }

  /** The two rounds that the place lies between, and how far from the first to the second (0..1). */
  between() {
    const from = Math.floor(this.place);
    return { from, to: Math.min(from + 1, this.numRounds - 1), progress: this.place - from };
  }

  step(by) {
    this.goTo(this.target + by);
  }

  /** Travel to a round and stop playing. */
  goTo(round) {
    this.setPlaying(false);
    this.travelTo(round);
  }

  travelTo(round) {
    this.target = this.clamp(round);
    const distance = Math.abs(this.target - this.place);
    const length = prefersLessMotion() ? 0 : this.pace.travel * Math.min(2, Math.sqrt(distance));
    this.travel = { from: this.place, since: performance.now(), length };
    this.requestFrame();
  }

  requestFrame() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame((now) => this.advance(now));
  }

  advance(now) {
    const travelled = this.travel !== null;
    if (travelled) this.moveOn(now);
    this.on.frame();
    if (this.travel) this.requestFrame();
    else if (travelled) this.arrive();
  }

  moveOn(now) {
    const { from, since, length } = this.travel;
    const share = length > 0 ? Math.min(1, Math.max(0, (now - since) / length)) : 1;
    this.place = share < 1 ? from + (this.target - from) * easeInOut(share) : this.target;
    if (share === 1) this.travel = null;
    const shown = Math.abs(this.target - this.place) <= 1 ? this.target : Math.round(this.place);
    if (shown === this.shown) return;
    this.shown = shown;
    this.on.round();
  }

  arrive() {
    if (this.playing && this.target < this.numRounds - 1) {
      this.timer = setTimeout(() => this.travelTo(this.target + 1), prefersLessMotion() ? PAGE_MS : this.pace.pause);
      return;
    }
    this.setPlaying(false);
    this.on.rest();
  }

  togglePlay() {
    if (this.numRounds < 2) return;
    this.setPlaying(!this.playing);
    if (this.playing) this.travelTo(this.target === this.numRounds - 1 ? 0 : this.target + 1);
  }

  setPlaying(playing) {
    clearTimeout(this.timer);
    if (playing === this.playing) return;
    this.playing = playing;
    this.on.playing();
  }

  release() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
  }
}

function easeInOut(share) {
  return share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2;
}

function prefersLessMotion() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}
