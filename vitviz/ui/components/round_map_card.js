// The card beside the point under the pointer.

const CARD_THUMB = 64;
const CARD_GAP = 16;
const CARD_EDGE = 8;

/** What the card says of a point at a round -> {title, rows: [name, value, colour or null], initial, address, index}. */
function describePoint(index, round, { map, data, labels, columns, numbers }) {
  const at = round * map.numPoints + index;
  const cluster = map.clusters[at];
  const id = map.classes[index];
  const name = id < 0 ? labels.unlabelled : data.class_names[id] ?? String(id);
  const rows = [[labels.card_cluster, String(cluster), data.palette[cluster % data.palette.length]]];
  if (map.numClasses > 0) rows.unshift([labels.card_class, name, null]);
  if (map.heldOut.includes(1)) rows.push([labels.card_split, map.heldOut[index] ? labels.filter_held_out : labels.filter_train, null]);
  for (const name of Object.keys(COLUMNS)) {
    const values = columns.peek(name, round);
    if (values) rows.push([labels[`by_${name}`], (values[index] / 255).toFixed(2), null]);
  }
  const title = fill(labels.image, { id: numbers.format(map.ids[index]) });
  return { title, rows, initial: name.slice(0, 3), address: tileAddress(data.tile_url, index), index };
}

/** Write what `describePoint` gives into the card, and load the thumbnail. */
function fillCard(card, { title, rows, initial, address, index }) {
  const thumb = element("div", { class: "thumb" }, initial);
  const list = element("dl");
  for (const [name, value, color] of rows) list.append(element("dt", {}, name), cardValue(value, color));
  card.replaceChildren(thumb, element("div", {}, element("strong", {}, title), list));
  loadTile(address).then((there) => {
    if (!there) return;
    thumb.replaceChildren();
    showThumbnail(thumb, address, index, CARD_THUMB);
  });
}

function cardValue(value, color) {
  if (!color) return element("dd", {}, value);
  const swatch = element("span", { class: "swatch" });
  swatch.style.background = color;
  return element("dd", {}, swatch, value);
}

/** Put the card beside a place of the stage, where it fits. */
function placeCard(card, x, y, view) {
  card.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = card;
  const left = x + CARD_GAP + width > view.width ? x - CARD_GAP - width : x + CARD_GAP;
  const top = Math.min(Math.max(CARD_EDGE, y - height / 2), view.height - height - CARD_EDGE);
  card.style.transform = `translate(${Math.round(Math.max(CARD_EDGE, left))}px, ${Math.round(top)}px)`;
}
