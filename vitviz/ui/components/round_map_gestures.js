// Pointer, wheel and keys of the round map, told to it as what they mean: pan, zoom, outline, click, hover, step.

const CLICK_PIXELS = 4;
const HOVER_MS = 120;

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
    listen("dblclick", () => map.view("fit"));
    listen("contextmenu", (event) => event.preventDefault());
  }

  down(event) {
    this.map.hideCard();
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
      if (event.button === 0) this.map.pickAt(...drag.from);
    } else if (drag.mode !== "pan") this.map.closeOutline();
  }

  cancel() {
    this.drag = null;
    this.map.showOutline([]);
  }

  leave() {
    this.wheelArmed = false;
    clearTimeout(this.hoverTimer);
    this.map.hideCard();
  }

  /** Look up the point once the pointer rests; while a card is open, follow at once. */
  waitToHover(x, y) {
    clearTimeout(this.hoverTimer);
    if (this.map.hasCard()) this.map.hoverAt(x, y);
    else this.hoverTimer = setTimeout(() => this.map.hoverAt(x, y), HOVER_MS);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey && !this.wheelArmed) {
      this.map.hintZoom();
      return;
    }
    event.preventDefault();
    this.map.zoomBy(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 200), ...this.at(event));
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
    if (!gestures.spaceUsed && !gestures.drag) map.togglePlay();
    gestures.spaceHeld = false;
  });
}

function keyAction(event, onSurface) {
  if (event.target.type === "range" && event.key !== "Escape") return null;
  return ROUND_KEYS[event.key] ?? (onSurface ? SURFACE_KEYS[event.key] : null);
}

const ROUND_KEYS = {
  ArrowLeft: (map) => map.step(-1),
  ArrowRight: (map) => map.step(1),
  Home: (map) => map.goTo(0),
  End: (map) => map.goTo(Infinity),
  Escape: (map) => map.clear(),
};

const SURFACE_KEYS = {
  "+": (map) => map.view("closer"),
  "=": (map) => map.view("closer"),
  "-": (map) => map.view("wider"),
  0: (map) => map.view("fit"),
  a: (map) => map.view("all"),
  Enter: (map) => map.pickCenter(),
};

const PAN_KEYS = {
  ArrowLeft: (map) => map.panBy(40, 0),
  ArrowRight: (map) => map.panBy(-40, 0),
  ArrowUp: (map) => map.panBy(0, 40),
  ArrowDown: (map) => map.panBy(0, -40),
  "+": (map) => map.view("closer"),
};
