// Pointer, wheel and keys of the round map, told to it as what they mean: pan, zoom, outline, click, hover, step.

const CLICK_PIXELS = 4;
const HOVER_MS = 120;
const HINT_MS = 1200;

class Gestures {
  constructor(surface, map) {
    this.surface = surface;
    this.map = map;
    this.drag = null;
    this.spaceHeld = false;
    this.wheelArmed = false;
    this.byKeyboard = false;
    const listen = (name, handler, options) => surface.addEventListener(name, handler.bind(this), options);
    listen("pointerdown", this.down);
    listen("pointermove", this.move);
    listen("pointerup", this.up);
    listen("pointercancel", this.cancel);
    listen("pointerleave", this.leave);
    listen("wheel", this.wheel, { passive: false });
    listen("dblclick", () => map.changeView("fit"));
    listen("contextmenu", (event) => event.preventDefault());
  }

  down(event) {
    clearTimeout(this.hoverTimer);
    this.map.pointing.hideCard();
    this.wheelArmed = true;
    this.byKeyboard = false;
    this.surface.focus({ preventScroll: true });
    if (event.button === 1) event.preventDefault();
    this.surface.setPointerCapture(event.pointerId);
    const [x, y] = this.at(event);
    this.drag = { mode: this.modeOf(event), from: [x, y], last: [x, y], moved: false, path: [[x, y]] };
  }

  modeOf(event) {
    if (event.button !== 0 || this.spaceHeld) return "pan";
    return event.shiftKey ? "box" : this.map.tool;
  }

  move(event) {
    const [x, y] = this.at(event);
    if (!this.drag) {
      this.waitToHover(x, y);
      return;
    }
    const { drag } = this;
    drag.moved ||= Math.hypot(x - drag.from[0], y - drag.from[1]) > CLICK_PIXELS;
    if (!drag.moved) return;
    if (drag.mode === "pan") this.map.panBy(x - drag.last[0], y - drag.last[1]);
    else this.map.showOutline(this.outline(x, y));
    drag.last = [x, y];
  }

  outline(x, y) {
    const { drag } = this;
    const [left, top] = drag.from;
    if (drag.mode === "box") return [[left, top], [x, top], [x, y], [left, y]];
    if (Math.hypot(x - drag.last[0], y - drag.last[1]) > 1) drag.path.push([x, y]);
    return drag.path;
  }

  up(event) {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    if (drag.moved && this.spaceHeld) this.spaceUsed = true;
    if (!drag.moved) {
      if (event.button === 0) this.map.pointing.pickAt(...drag.from);
    } else if (drag.mode !== "pan") this.map.closeOutline();
  }

  cancel() {
    this.drag = null;
    this.map.showOutline([]);
  }

  leave() {
    this.wheelArmed = false;
    clearTimeout(this.hoverTimer);
    this.map.pointing.hideCard();
  }

  /** Look up the point once the pointer rests; while a card is open, follow at once. */
  waitToHover(x, y) {
    clearTimeout(this.hoverTimer);
    if (this.map.pointing.hasCard()) this.map.pointing.hoverAt(x, y);
    else this.hoverTimer = setTimeout(() => this.map.pointing.hoverAt(x, y), HOVER_MS);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey && !this.wheelArmed) {
      this.hintZoom();
      return;
    }
    event.preventDefault();
    this.map.zoomBy(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 200), ...this.at(event));
  }

  hintZoom() {
    const { hint } = this.map.parts;
    hint.classList.add("shown");
    clearTimeout(this.hintTimer);
    this.hintTimer = setTimeout(() => hint.classList.remove("shown"), HINT_MS);
  }

  release() {
    clearTimeout(this.hoverTimer);
    clearTimeout(this.hintTimer);
  }

  at(event) {
    const box = this.surface.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

/** Keys of the whole component. Buttons and the range keep their own: space presses, arrows move the range. */
function listenToKeys(root, surface, gestures, map) {
  root.addEventListener("keydown", (event) => {
    const onSurface = event.target === surface;
    gestures.byKeyboard = true;
    if (event.key === " " && event.target.tagName !== "BUTTON") {
      event.preventDefault();
      if (!event.repeat) Object.assign(gestures, { spaceHeld: true, spaceUsed: false });
      return;
    }
    const action = onSurface && event.shiftKey ? PAN_KEYS[event.key] : keyAction(event, onSurface);
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    action(map);
  });
  root.addEventListener("keyup", (event) => {
    if (event.key !== " " || !gestures.spaceHeld) return;
    if (!gestures.spaceUsed && !gestures.drag) map.motion.togglePlay();
    gestures.spaceHeld = false;
  });
}

function keyAction(event, onSurface) {
  if (event.target.type === "range" && event.key !== "Escape") return null;
  return ROUND_KEYS[event.key] ?? (onSurface ? SURFACE_KEYS[event.key] : null);
}

const ROUND_KEYS = {
  ArrowLeft: (map) => map.motion.step(-1),
  ArrowRight: (map) => map.motion.step(1),
  Home: (map) => map.motion.goTo(0),
  End: (map) => map.motion.goTo(Infinity),
  Escape: (map) => map.clear(),
};

const SURFACE_KEYS = {
  "+": (map) => map.changeView("closer"),
  "=": (map) => map.changeView("closer"),
  "-": (map) => map.changeView("wider"),
  0: (map) => map.changeView("fit"),
  a: (map) => map.changeView("all"),
  Enter: (map) => map.pointing.pickCenter(),
};

const PAN_KEYS = {
  ArrowLeft: (map) => map.panBy(40, 0),
  ArrowRight: (map) => map.panBy(-40, 0),
  ArrowUp: (map) => map.panBy(0, 40),
  ArrowDown: (map) => map.panBy(0, -40),
  "+": (map) => map.changeView("closer"),
};
