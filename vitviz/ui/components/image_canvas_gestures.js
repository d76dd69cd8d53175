// Pointer and keys of the image canvas, told to it as what they mean: hover, pin, move the pin, step, blink, clear.

/** Pointer of the picture. A click is also what a tap makes, so a finger that scrolls sets no pin. */
function listenToPointer(surface, canvas) {
  const place = (event) => {
    const box = surface.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((one) => Math.min(Math.max(one, 0), 1));
  };
  surface.addEventListener("click", (event) => canvas.pinAt(...place(event)));
  surface.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") canvas.hoverAt(...place(event));
  });
  surface.addEventListener("pointerleave", () => canvas.hoverAt(null));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP_KEYS = {
  ArrowLeft: (canvas) => canvas.stepBy(-1),
  ArrowRight: (canvas) => canvas.stepBy(1),
  Home: (canvas) => canvas.goTo(0),
  End: (canvas) => canvas.goTo(Infinity),
  " ": (canvas) => canvas.togglePlay(),
};

/** Keys of the whole component. Buttons and ranges keep their own: space presses, arrows move the range. */
function listenToKeys(root, surface, canvas) {
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keyAction(event, event.target === surface, canvas);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
  root.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "b") canvas.hold(false);
  });
  root.addEventListener("focusout", () => canvas.hold(false));
}

function keyAction(event, onSurface, canvas) {
  if (event.key === "Escape") return () => canvas.clear();
  if (event.key.toLowerCase() === "b") return () => canvas.hold(true);
  if (!onSurface) return null;
  const arrow = ARROWS[event.key];
  if (arrow && (event.shiftKey || canvas.numSteps() < 2)) return () => canvas.movePin(...arrow);
  if (event.key === "Enter") return () => canvas.pinAt(0.5, 0.5);
  const step = canvas.numSteps() > 1 ? STEP_KEYS[event.key] : null;
  return step ? () => step(canvas) : null;
}
