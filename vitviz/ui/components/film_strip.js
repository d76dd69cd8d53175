// One image through the rounds: a frame a round, in a strip that scrolls sideways.

const NEIGHBOR = 26;
const strips = new WeakMap();

export default function filmStrip(component) {
  const { parentElement, data } = component;
  let strip = strips.get(parentElement);
  if (!strip) {
    strip = { root: element("div", { class: "film-strip", role: "list", tabindex: 0 }) };
    parentElement.append(strip.root);
    strips.set(parentElement, strip);
  }
  const latest = JSON.stringify(data);
  if (latest !== strip.latest) fillStrip(strip.root, data);
  strip.latest = latest;
  return () => {
    if (parentElement.isConnected) return;
    strip.root.remove();
    strips.delete(parentElement);
  };
}

function fillStrip(root, data) {
  root.setAttribute("aria-label", data.words.strip);
  root.replaceChildren(...data.frames.map((frame, place) => makeFrame(frame, place, data)));
  root.dataset.ready = data.map_url ? "" : "true";
  if (data.map_url) paintMaps(root, data);
}

function makeFrame(frame, place, data) {
  const { words } = data;
  const made = element("div", { class: "frame", role: "listitem" }, element("p", { class: "title" }, frame.title), margin(frame, words));
  made.style.setProperty("--edge", frame.color);
  if (data.map_url) made.append(element("canvas", { role: "img", "aria-label": fill(words.map, frame), "data-round": frame.round }));
  const kin = frame.kin === null ? "" : ` · ${fill(words.kin, { share: `${Math.round(100 * frame.kin)} %` })}`;
  if (frame.neighbors.length) made.append(element("p", { class: "quiet" }, words.near + kin), neighbors(frame, data));
  const pictures = element("div", { class: "pictures" });
  for (const kind of ["restored", "attention", "supertokens"]) {
    const address = data[`${kind}_url`];
    const [at, count] = kind === "restored" ? [place, data.frames.length] : [frame.look, data.num_looks];
    if (address && at !== null) pictures.append(cutOut(kind, address, at, count, fill(words[`${kind}_alt`], frame), words[kind]));
  }
  if (pictures.childElementCount) made.append(pictures);
  return made;
}

/** How clearly the image belongs to its cluster, as a bar and a number. */
function margin(frame, words) {
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.width = `${100 * frame.margin}%`;
  return element("p", { class: "quiet margin" }, fill(words.margin, { value: frame.margin.toFixed(2) }), bar);
}

function neighbors(frame, data) {
  const thumbs = frame.neighbors.map(({ id, note, initial, color }) => {
    const thumb = element("span", { class: "thumb", role: "img", "aria-label": note, title: note }, initial);
    thumb.style.setProperty("--edge", color);
    const address = tileAddress(data.tile_url, id);
    loadTile(address).then((there) => {
      if (!there) return;
      thumb.replaceChildren();
      showThumbnail(thumb, address, id, NEIGHBOR);
    });
    return thumb;
  });
  return element("div", { class: "near" }, ...thumbs);
}

/** One square out of a row of `count` squares. */
function cutOut(kind, address, place, count, alt, caption) {
  const picture = element("span", { class: "picture", role: "img", "aria-label": alt });
  picture.style.backgroundImage = `url("${address}")`;
  picture.style.backgroundSize = `${100 * count}% 100%`;
  picture.style.backgroundPosition = `${count > 1 ? (100 * place) / (count - 1) : 0}% 0`;
  return element("figure", { class: kind }, picture, element("figcaption", {}, caption));
}

async function paintMaps(root, data) {
  const map = await fetchRoundMap(data.map_url).catch(() => null);
  const style = getComputedStyle(root);
  const ink = { crowd: style.color, accent: style.getPropertyValue("--accent"), paper: style.getPropertyValue("--paper") };
  for (const canvas of root.querySelectorAll("canvas")) {
    const round = Number(canvas.dataset.round);
    if (!map || round >= map.numRounds) canvas.remove();
    else paintSmallMap(canvas, map, round, data.sample, ink);
  }
  root.dataset.ready = "true";
}
