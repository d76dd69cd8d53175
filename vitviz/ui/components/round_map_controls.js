// The elements of the round map, built once. What a control does is given by the round map itself.

const ICONS = {
  lasso: "M8 3c3.3 0 6 1.7 6 3.8s-2.7 3.8-6 3.8-6-1.7-6-3.8S4.700 3 8 3Zm-3.500 7.200c-1 .8-.8 2.300.6 2.300s1.600 1.500.6 1.900",
  box: "M3 3h10v10H3z",
  pan: "M8 2v12M2 8h12M6.300 3.700 8 2l1.700 1.700M6.300 12.300 8 14l1.700-1.700M3.700 6.300 2 8l1.700 1.700M12.300 6.300 14 8l-1.700 1.700",
  all: "M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M6 8l1.500 1.500L10.500 6.500",
  closer: "M8 3.500v9M3.500 8h9",
  wider: "M3.500 8h9",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  previous: "M10 3 5 8l5 5",
  next: "m6 3 5 5-5 5",
  play: "M5 3.200v9.600L12.500 8Z",
  pause: "M5.500 3.500v9M10.500 3.500v9",
  close: "m4 4 8 8M12 4l-8 8",
};
const TOOLS = ["lasso", "box", "pan"];
const FILTERS = ["all", "train", "held_out"];

/** Build everything inside `parent` -> the elements that change later. `act` holds what the controls do. */
function buildControls(parent, labels, act) {
  const parts = {
    schemes: element("div", { class: "segments", role: "group", "aria-label": labels.color_by }),
    filters: buildFilters(labels, act),
    legend: element("div", { class: "legend", role: "group", "aria-label": labels.legend }),
    ...buildStage(labels, act),
    ...buildPlayer(labels, act),
  };
  const bar = element("div", { class: "bar" }, parts.schemes, parts.filters);
  const body = element("div", { class: "body" }, parts.stage, parts.legend);
  parts.root = element("div", { class: "round-map" }, bar, body, parts.player, element("p", { class: "keys" }, labels.keys));
  parent.append(parts.root);
  return parts;
}

function buildStage(labels, act) {
  const points = element("canvas", { class: "points", role: "img", "aria-label": labels.loading });
  const overlay = element("canvas", { class: "overlay", "aria-hidden": "true" });
  const card = element("div", { class: "card", hidden: true });
  const message = element("p", { class: "message", role: "status" }, labels.loading);
  const hint = element("p", { class: "hint", "aria-hidden": "true" }, labels.zoom_hint);
  const { chip, chipText, chipTrails } = buildChip(labels, act);
  const tools = buildTools(labels, act);
  const surface = element("div", { class: "surface", tabindex: 0, role: "application", "aria-label": labels.map }, points, overlay);
  const stage = element("div", { class: "stage" }, surface, tools, chip, card, hint, message);
  return { stage, surface, points, overlay, card, message, hint, chip, chipText, chipTrails, tools };
}

function buildChip(labels, act) {
  const chipText = element("span", { role: "status" });
  const chipTrails = button({ class: "link", "aria-pressed": "false" }, act.toggleTrails, labels.trails);
  const clear = button({ class: "icon", "aria-label": labels.clear, title: labels.clear }, act.clear, icon(ICONS.close));
  return { chipText, chipTrails, chip: element("div", { class: "chip", hidden: true }, chipText, chipTrails, clear) };
}

function buildTools(labels, act) {
  const modes = TOOLS.map((name) => toolButton(name, labels, () => act.setTool(name)));
  const views = ["closer", "wider", "fit", "all"].map((name) => toolButton(name, labels, () => act.changeView(name)));
  return element("div", { class: "tools", role: "toolbar", "aria-label": labels.tools }, ...modes, element("hr"), ...views);
}

function toolButton(name, labels, onClick) {
  const text = labels[`tool_${name}`];
  return button({ class: "icon", "aria-label": text, title: text, "data-tool": name }, onClick, icon(ICONS[name]));
}

function buildPlayer(labels, act) {
  const step = (name, by) => button({ class: "icon", "aria-label": labels[name], title: labels[name] }, () => act.step(by), icon(ICONS[name]));
  const play = button({ class: "icon play", "aria-label": labels.play, title: labels.play }, act.togglePlay, icon(ICONS.play));
  const range = element("input", { type: "range", min: 0, step: 1, "aria-label": labels.round });
  range.addEventListener("input", () => act.goTo(Number(range.value)));
  const readout = element("output", { class: "readout" });
  const player = element("div", { class: "player" }, step("previous", -1), play, step("next", 1), range, readout);
  return { player, play, range, readout };
}

function buildFilters(labels, act) {
  const buttons = FILTERS.map((name) => button({ "data-filter": name }, () => act.setFilter(name), labels[`filter_${name}`]));
  return element("div", { class: "segments", role: "group", "aria-label": labels.filter, hidden: true }, ...buttons);
}

/** The buttons of the schemes that are available. */
function fillSchemes(group, names, labels, onChoose) {
  group.replaceChildren(...names.map((name) => button({ "data-scheme": name }, () => onChoose(name), labels[`by_${name}`])));
}

/** Mark the one button of a group whose data attribute has the value. */
function markPressed(group, attribute, value) {
  for (const one of group.querySelectorAll(`[data-${attribute}]`)) {
    one.setAttribute("aria-pressed", String(one.dataset[attribute] === value));
  }
}

/** The legend: one button an entry, kept in place so that focus survives a change of counts. */
function fillLegend(legend, scheme, isolated, numbers, onToggle) {
  while (legend.children.length > scheme.entries.length) legend.lastChild.remove();
  while (legend.children.length < scheme.entries.length) {
    const index = legend.children.length;
    const [swatch, name, count] = ["swatch", "name", "count"].map((kind) => element("span", { class: kind }));
    legend.append(button({ class: "entry" }, (event) => onToggle(index, event), swatch, name, count));
  }
  scheme.entries.forEach((entry, index) => {
    const made = legend.children[index];
    made.setAttribute("aria-pressed", String(isolated.has(index)));
    made.classList.toggle("faded", isolated.size > 0 && !isolated.has(index));
    made.children[0].style.background = entry.color;
    made.children[1].textContent = entry.label;
    made.children[2].textContent = numbers.format(entry.count);
  });
}

/** Put the range's handle and its filled part at a round. */
function moveRange(range, round, text) {
  range.value = round;
  range.setAttribute("aria-valuetext", text);
  range.style.setProperty("--share", String(round / Math.max(1, Number(range.max))));
}

/** Show play or pause. */
function markPlaying(play, playing, labels) {
  const text = playing ? labels.pause : labels.play;
  play.setAttribute("aria-label", text);
  play.title = text;
  play.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
  play.classList.toggle("playing", playing);
}
