// Pointer and keys of the matrix canvas: a click pins a cell, a drag selects a block, and the keyboard does both.

const DRAG_FROM = 5; // CSS pixels: less is a click
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** A finger drags only while the button for blocks is pressed, since else it scrolls the page. */
function listenToPointer(surface, canvas) {
  let start = null;
  const cell = (event) => {
    const box = surface.getBoundingClientRect();
    return canvas.cellAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  const isDrag = (event) => start && Math.hypot(event.clientX - start.x, event.clientY - start.y) >= DRAG_FROM;
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !canvas.data.can_point) return;
    start = { x: event.clientX, y: event.clientY, cell: cell(event), drags: event.pointerType !== "touch" || canvas.selects };
    if (start.drags) surface.setPointerCapture(event.pointerId);
  });
  surface.addEventListener("pointermove", (event) => {
    if (start?.drags && (start.moved || isDrag(event))) {
      start.moved = true;
      canvas.drag(start.cell, cell(event));
    } else if (event.pointerType !== "touch") canvas.hoverAt(cell(event));
  });
  surface.addEventListener("pointerup", (event) => {
    if (start?.moved) canvas.settle();
    else if (start && !isDrag(event)) canvas.pinAt(start.cell);
    start = null;
  });
  surface.addEventListener("pointercancel", () => {
    start = null;
    canvas.giveUp();
  });
  surface.addEventListener("pointerleave", () => canvas.hoverAt(null));
}

/** Keys of the whole component; buttons keep their own. */
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
  if (!onSurface || !canvas.data.can_point) return null;
  const arrow = ARROWS[event.key];
  if (arrow) return () => (event.shiftKey || canvas.selects ? canvas.extend(...arrow) : canvas.movePin(...arrow));
  return event.key === "Enter" ? () => canvas.pinAt(canvas.middle()) : null;
}
