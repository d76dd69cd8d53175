// The page of one run: language, and the map with its rounds. All it needs stands in the page; round_map_data.js comes first.

const MOVE_MS = 450;
const PLAY_MS = 1400;
const REACH = 0.02;
const page = document.documentElement;
const find = (id) => document.getElementById(id);

function setLanguage(language) {
  page.dataset.language = language;
  page.lang = language;
  for (const button of document.querySelectorAll("[data-set]")) button.setAttribute("aria-pressed", button.dataset.set === language);
  for (const named of document.querySelectorAll("[data-en]")) named.setAttribute("aria-label", named.dataset[language]);
  page.dispatchEvent(new Event("languagechange"));
}

function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The words of the map in the language shown, with {places} filled in. */
function wordsOf(values) {
  return (key, filled = {}) => {
    const text = values.words[key][page.dataset.language === "ko" ? 1 : 0];
    return text.replace(/\{(\w+)\}/g, (whole, name) => filled[name] ?? whole);
  };
}

async function startMap() {
  const values = JSON.parse(find("values").textContent);
  const map = decodeRoundMap(await inflate(find("map").textContent.trim()));
  const sheet = await loadSheet(values.thumbs);
  const view = { values, map, sheet, word: wordsOf(values), round: map.numRounds - 1, color: "cluster", stressed: -1, hovered: -1, playing: 0 };
  view.bounds = mapBounds(map);
  view.shown = Float32Array.from(placesOf(map, view.round));
  view.grid = buildGrid(placesOf(map, view.round));
  view.still = matchMedia("(prefers-reduced-motion: reduce)");
  listen(view);
  refresh(view);
  if (sheet) drawNearest(view);
  page.dataset.ready = "true";
}

async function loadSheet(thumbs) {
  if (!thumbs) return null;
  const image = find("sheet");
  await image.decode();
  const places = new Map(thumbs.points.map((point, place) => [point, place]));
  return { ...thumbs, image, places };
}

function drawThumb(context, sheet, place, x, side) {
  const [column, row] = [place % sheet.columns, Math.floor(place / sheet.columns)];
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet.image, column * sheet.side, row * sheet.side, sheet.side, sheet.side, x, 0, side, side);
}

function drawNearest({ values, sheet }) {
  for (const canvas of document.querySelectorAll("[data-nearest]")) {
    const places = values.nearest[canvas.dataset.nearest];
    canvas.width = Math.max(1, places.length) * sheet.side;
    canvas.height = sheet.side;
    places.forEach((place, index) => drawThumb(canvas.getContext("2d"), sheet, place, index * sheet.side, sheet.side));
  }
}

/** Codes of the points at the round, colours and names of the codes. */
function schemeOf({ map, values, color, round, word }) {
  if (color === "class") {
    const names = [...values.classNames, word("unlabelled")];
    return { codes: map.classes.map((id) => (id < 0 ? names.length - 1 : id)), names, colors: [...values.classColors, values.unknownColor] };
  }
  const codes = map.clusters.subarray(round * map.numPoints, (round + 1) * map.numPoints);
  return { codes, names: values.clusterNames.map((name, cluster) => nameOf(word, cluster, name)), colors: values.clusterColors };
}

function nameOf(word, cluster, name) {
  return name ? word("namedCluster", { cluster, name }) : word("cluster", { cluster });
}

function refresh(view) {
  const { map, round, word } = view;
  view.scheme = schemeOf(view);
  view.grid = buildGrid(placesOf(map, round));
  find("round").value = round;
  const text = word("roundOf", { round, last: map.numRounds - 1 });
  find("round").setAttribute("aria-valuetext", text);
  find("said").textContent = text;
  find("scores").textContent = scoresAt(view);
  find("play").textContent = word(view.playing ? "pause" : "play");
  find("picture").setAttribute("aria-label", word("alt", { points: map.numPoints.toLocaleString("en"), round }));
  for (const button of document.querySelectorAll("[data-color]")) button.setAttribute("aria-pressed", button.dataset.color === view.color);
  fillNames(view);
  fillCard(view);
  draw(view);
}

function scoresAt({ values, round }) {
  const korean = page.dataset.language === "ko";
  return (values.scores[round] ?? []).map(([name, said, score]) => `${korean ? said : name} ${score.toFixed(3)}`).join(" · ");
}

function fillNames(view) {
  const { codes, names, colors } = view.scheme;
  const counts = new Uint32Array(names.length);
  for (const code of codes) counts[code] += 1;
  const kept = document.activeElement?.dataset?.code;
  find("names").replaceChildren(...names.flatMap((name, code) => (counts[code] || view.color === "cluster" ? [entry(view, code, name, colors[code], counts[code])] : [])));
  if (kept !== undefined) find("names").querySelector(`[data-code="${kept}"]`)?.focus();
}

function entry(view, code, name, color, count) {
  const [item, button, dot] = [element("li", ""), element("button", ""), element("span", "dot")];
  dot.style.backgroundColor = color;
  button.type = "button";
  button.dataset.code = code;
  button.setAttribute("aria-pressed", view.stressed === code);
  button.append(dot, element("span", "", name), element("span", "count", count.toLocaleString("en")));
  button.addEventListener("click", () => {
    view.stressed = view.stressed === code ? -1 : code;
    refresh(view);
  });
  item.append(button);
  return item;
}

function fillCard(view) {
  const { map, values, hovered, round, word, sheet } = view;
  const card = find("card");
  if (hovered < 0) {
    card.replaceChildren(element("span", "soft", word("hint")));
    return;
  }
  const cluster = map.clusters[round * map.numPoints + hovered];
  const label = map.classes[hovered] < 0 ? word("unlabelled") : values.classNames[map.classes[hovered]];
  const parts = [word("image", { image: map.ids[hovered] }), word("class", { label }), nameOf(word, cluster, values.clusterNames[cluster]), word(map.heldOut[hovered] ? "heldOut" : "trained")];
  card.replaceChildren(element("span", "", parts.join(" · ")));
  const place = sheet?.places.get(hovered);
  if (place === undefined) return;
  const small = element("canvas", "");
  [small.width, small.height] = [sheet.side, sheet.side];
  drawThumb(small.getContext("2d"), sheet, place, 0, sheet.side);
  small.setAttribute("role", "img");
  small.setAttribute("aria-label", parts.join(", "));
  card.prepend(small);
}

/** Scale and offsets from 0..65535 to pixels of the canvas: one scale for both axes, up is up. */
function frameOf({ bounds }, canvas) {
  const [left, bottom, right, top] = bounds.map((value) => value * LARGEST);
  const scale = Math.min(canvas.width / (right - left || 1), canvas.height / (top - bottom || 1)) * 0.94;
  return { scale, x: canvas.width / 2 - ((left + right) / 2) * scale, y: canvas.height / 2 + ((bottom + top) / 2) * scale };
}

function draw(view) {
  const canvas = find("picture");
  const density = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [canvas.clientWidth * density, canvas.clientHeight * density];
  const context = canvas.getContext("2d");
  const frame = frameOf(view, canvas);
  const side = (view.map.numPoints > 20000 ? 1.6 : view.map.numPoints > 4000 ? 2.4 : 4) * density;
  const { codes, colors } = view.scheme;
  const byCode = colors.map(() => []);
  for (let i = 0; i < codes.length; i += 1) byCode[codes[i]].push(i);
  const order = colors.map((_, code) => code).sort((a, b) => (a === view.stressed) - (b === view.stressed));
  for (const code of order) {
    context.globalAlpha = view.stressed < 0 || view.stressed === code ? 0.82 : 0.12;
    context.fillStyle = colors[code];
    for (const i of byCode[code]) {
      context.fillRect(frame.x + view.shown[2 * i] * frame.scale - side / 2, frame.y - view.shown[2 * i + 1] * frame.scale - side / 2, side, side);
    }
  }
  if (view.hovered >= 0) ring(context, view, frame, density);
}

function ring(context, { shown, hovered }, frame, density) {
  context.globalAlpha = 1;
  context.lineWidth = 2 * density;
  context.strokeStyle = getComputedStyle(page).getPropertyValue("--ink");
  context.beginPath();
  context.arc(frame.x + shown[2 * hovered] * frame.scale, frame.y - shown[2 * hovered + 1] * frame.scale, 7 * density, 0, 2 * Math.PI);
  context.stroke();
}

/** Go to a round; the points walk there, unless motion is not wanted. */
function goTo(view, round) {
  const wanted = Math.max(0, Math.min(view.map.numRounds - 1, round));
  if (wanted === view.round) return;
  view.round = wanted;
  const [from, to, began] = [view.shown.slice(), placesOf(view.map, wanted), performance.now()];
  view.walk = (view.walk ?? 0) + 1;
  const walk = view.walk;
  const step = (now) => {
    if (walk !== view.walk) return;
    const share = view.still.matches ? 1 : Math.min(1, (now - began) / MOVE_MS);
    const eased = share * share * (3 - 2 * share);
    for (let i = 0; i < to.length; i += 1) view.shown[i] = from[i] + (to[i] - from[i]) * eased;
    draw(view);
    if (share < 1) requestAnimationFrame(step);
  };
  refresh(view);
  requestAnimationFrame(step);
}

function play(view) {
  clearInterval(view.playing);
  if (view.playing) {
    view.playing = 0;
  } else {
    if (view.round === view.map.numRounds - 1) goTo(view, 0);
    view.playing = setInterval(() => {
      goTo(view, view.round + 1);
      if (view.round === view.map.numRounds - 1) play(view);
    }, PLAY_MS);
  }
  refresh(view);
}

function onKey(view, event) {
  const last = view.map.numRounds - 1;
  const targets = { ArrowLeft: view.round - 1, ArrowRight: view.round + 1, Home: 0, End: last };
  if (event.key in targets) goTo(view, targets[event.key]);
  else if (event.key === " ") play(view);
  else return;
  event.preventDefault();
}

function onPoint(view, event) {
  const canvas = find("picture");
  const box = canvas.getBoundingClientRect();
  const frame = frameOf(view, canvas);
  const density = canvas.width / box.width;
  const x = ((event.clientX - box.left) * density - frame.x) / frame.scale / LARGEST;
  const y = (frame.y - (event.clientY - box.top) * density) / frame.scale / LARGEST;
  const accepts = (i) => view.stressed < 0 || view.scheme.codes[i] === view.stressed;
  const found = nearestPoint(view.grid, x, y, REACH, accepts);
  if (found === view.hovered) return;
  view.hovered = found;
  fillCard(view);
  draw(view);
}

function listen(view) {
  const canvas = find("picture");
  find("round").addEventListener("input", (event) => goTo(view, Number(event.target.value)));
  find("play").addEventListener("click", () => play(view));
  for (const button of document.querySelectorAll("[data-color]")) {
    button.addEventListener("click", () => {
      [view.color, view.stressed] = [button.dataset.color, -1];
      refresh(view);
    });
  }
  canvas.addEventListener("keydown", (event) => onKey(view, event));
  canvas.addEventListener("pointermove", (event) => onPoint(view, event));
  canvas.addEventListener("pointerdown", (event) => onPoint(view, event));
  page.addEventListener("languagechange", () => refresh(view));
  addEventListener("resize", () => draw(view));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(view));
}

for (const button of document.querySelectorAll("[data-set]")) button.addEventListener("click", () => setLanguage(button.dataset.set));
setLanguage(navigator.language.startsWith("ko") ? "ko" : "en");
if (find("map")) startMap();
