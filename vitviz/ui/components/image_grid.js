// A grid of thumbnails cut from tiles; a click or Enter tells Python which one.

const BORDER = 3;
const grids = new WeakMap();

export default function imageGrid(component) {
  const { parentElement, data } = component;
  let grid = grids.get(parentElement);
  if (!grid) {
    const cells = element("div", { class: "cells", role: "group" });
    const line = element("p", { role: "status" });
    grid = { root: element("div", { class: "image-grid" }, line, cells), cells, line };
    parentElement.append(grid.root);
    grids.set(parentElement, grid);
  }
  const latest = JSON.stringify(data);
  if (grid.latest !== latest) fillGrid(grid, component);
  grid.latest = latest;
  return () => {
    if (parentElement.isConnected) return;
    grid.root.remove();
    grids.delete(parentElement);
  };
}

function fillGrid({ root, cells, line }, { data, setTriggerValue }) {
  root.style.setProperty("--cell", `${data.thumb + 2 * BORDER}px`);
  line.textContent = data.line;
  line.hidden = !data.line;
  cells.setAttribute("aria-label", data.label);
  const held = [...cells.children].indexOf(cells.getRootNode().activeElement);
  const heldId = cells.children[held]?.dataset.id;
  cells.replaceChildren(...data.items.map((item) => makeCell(item, data, cells, setTriggerValue)));
  if (held >= 0) refocus([...cells.children], held, heldId);
  root.dataset.ready = "true";
}

/** The keyboard stays on the image that it was on, or on the place where that one was. */
function refocus(made, place, id) {
  const cell = made.find((one) => one.dataset.id === id) ?? made[Math.min(place, made.length - 1)];
  cell?.focus({ preventScroll: true });
}

function makeCell(item, data, cells, setTriggerValue) {
  const title = [item.label, item.note].filter(Boolean).join(" · ");
  const thumb = element("span", { class: "thumb", "aria-hidden": "true" }, item.label.slice(0, 3));
  if (item.color) thumb.style.setProperty("--edge", item.color);
  const pick = () => {
    for (const cell of cells.children) cell.setAttribute("aria-pressed", String(cell === made));
    setTriggerValue("picked", item.id);
  };
  const made = button({ class: "cell", title, "aria-label": title, "aria-pressed": "false", "data-id": item.id }, pick, thumb);
  if (data.captions) made.append(element("span", { class: "caption" }, item.label));
  const address = tileAddress(data.tile_url, item.id);
  loadTile(address).then((there) => {
    if (!there) return;
    thumb.replaceChildren();
    showThumbnail(thumb, address, item.id, data.thumb);
  });
  return made;
}
