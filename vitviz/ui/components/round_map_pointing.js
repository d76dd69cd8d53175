// The point under the pointer: its card while hovering, and the pick that Python hears of.

const NEAR_PIXELS = 8;

class Pointing {
  /** `owner` is the round map. */
  constructor(owner) {
    Object.assign(this, { owner, picked: null, hovered: null, grid: null, gridRound: -1 });
  }

  /** The visible point nearest to a screen place, within some pixels, or -1. */
  nearest(x, y, pixels) {
    const { map, motion, view, visible } = this.owner;
    if (this.gridRound !== motion.shown) this.grid = buildGrid(placesOf(map, motion.shown));
    this.gridRound = motion.shown;
    const now = view.now();
    return nearestPoint(this.grid, ...toMap(now, x, y), pixels / now.scale, (i) => visible[i] === 1);
  }

  pickAt(x, y, pixels = NEAR_PIXELS) {
    const { motion, component } = this.owner;
    if (motion.travel) return;
    const index = this.nearest(x, y, pixels);
    const before = this.picked;
    this.picked = index < 0 ? null : index;
    motion.requestFrame();
    if (this.picked === null && before === null) return;
    component.setStateValue("picked", this.picked === null ? null : { index, round: motion.shown, at: Date.now() });
  }

  pickCenter() {
    const { width, height } = this.owner.view.now();
    this.pickAt(width / 2, height / 2, Math.hypot(width, height) / 2);
  }

  hoverAt(x, y) {
    const { motion, parts, view } = this.owner;
    if (motion.travel) return;
    const index = this.nearest(x, y, NEAR_PIXELS);
    if (index < 0) {
      this.hideCard();
      return;
    }
    if (index !== this.hovered) fillCard(parts.card, describePoint(index, motion.shown, this.owner));
    this.hovered = index;
    parts.surface.classList.add("over-point");
    placeCard(parts.card, ...toScreen(view.now(), ...this.owner.placeOf(index)), view.now());
    motion.requestFrame();
  }

  hasCard() {
    return this.hovered !== null;
  }

  hideCard() {
    if (this.hovered === null) return;
    const { motion, parts } = this.owner;
    this.hovered = null;
    parts.card.hidden = true;
    parts.surface.classList.remove("over-point");
    motion.requestFrame();
  }

  /** Where to draw a ring, in map units, or null. */
  ring() {
    const marked = this.hovered ?? this.owner.data.links?.sample ?? this.picked;
    return marked === null ? null : this.owner.placeOf(marked);
  }
}
