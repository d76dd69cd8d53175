// The elements of the image canvas, built once. What a control does is given by the image canvas itself.

const ICONS = {
  previous: "M10 3 5 8l5 5",
  next: "m6 3 5 5-5 5",
  play: "M5 3.200v9.600L12.500 8Z",
  pause: "M5.500 3.500v9M10.500 3.500v9",
  blink: "M1.500 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8ZM8 6.200a1.800 1.800 0 1 0 0 3.600 1.800 1.800 0 0 0 0-3.600Z",
  close: "m4 4 8 8M12 4l-8 8",
  smooth: "M1.500 11c2.500 0 3-6 6.500-6s4 6 6.500 6",
};
const MODES = ["colors", "lines", "both", "none"];

/** Build everything inside `parent` -> the elements that change later. `act` holds what the controls do. */
function buildControls(parent, labels, act) {
  const modes = MODES.map((name) => button({ "data-mode": name }, () => act.setMode(name), labels[`mode_${name}`]));
  const parts = {
    bases: element("div", { class: "segments", role: "group", "aria-label": labels.bases, hidden: true }),
    modes: element("div", { class: "segments", role: "group", "aria-label": labels.modes }, ...modes),
    alpha: slider(labels.alpha, act.setAlpha),
    blink: button({ class: "icon", "aria-pressed": "false", "aria-label": labels.blink, title: labels.blink }, act.toggleBlink, icon(ICONS.blink)),
    smooth: button({ class: "icon smooth", "aria-pressed": "false", "aria-label": labels.smooth, title: labels.smooth, hidden: true }, act.toggleSmooth, icon(ICONS.smooth)),
    ...buildStage(labels),
    ...buildPlayer(labels, act),
    ...buildFoot(labels, act),
  };
  const bar = element("div", { class: "bar" }, parts.bases, parts.modes, parts.alpha, parts.smooth, parts.blink);
  parts.root = element("div", { class: "image-canvas" }, bar, parts.stage, parts.heatBar, parts.player, parts.foot, parts.keys);
  parent.append(parts.root);
  return parts;
}

function buildStage(labels) {
  const picture = element("img", { class: "picture", draggable: "false" });
  const [fill, heat, lines] = ["fill", "heat", "lines"].map((kind) => element("canvas", { class: kind, "aria-hidden": "true" }));
  const surface = element("div", { class: "surface", tabindex: 0, role: "application", "aria-label": labels.picture }, picture, fill, heat, lines);
  const message = element("p", { class: "message", role: "status", hidden: true });
  const stage = element("div", { class: "stage" }, surface, message);
  return { stage, surface, picture, fill, heat, lines, message, heatBar: buildHeatBar() };
}

function buildHeatBar() {
  const numbers = ["0", "0.5", "1"].map((text) => element("span", {}, text));
  const parts = [element("span", { class: "heat-title" }), element("span", { class: "ramp" }), element("span", { class: "numbers" }, ...numbers)];
  return element("div", { class: "heat-bar", hidden: true }, ...parts);
}

function buildPlayer(labels, act) {
  const step = (name, by) => button({ class: "icon", "aria-label": labels[name], title: labels[name] }, () => act.step(by), icon(ICONS[name]));
  const play = button({ class: "icon play", "aria-label": labels.play, title: labels.play }, act.togglePlay, icon(ICONS.play));
  const range = element("input", { type: "range", min: 0, step: 1, "aria-label": labels.step });
  range.addEventListener("input", () => act.goTo(Number(range.value)));
  const count = element("output", { class: "count" });
  const player = element("div", { class: "player", hidden: true }, step("previous", -1), play, step("next", 1), range, count);
  return { player, play, range, count };
}

function buildFoot(labels, act) {
  const readout = element("p", { class: "readout", role: "status" });
  const clear = button({ class: "icon", "aria-label": labels.clear, title: labels.clear, hidden: true }, act.clear, icon(ICONS.close));
  // the button first, so that no change of the text moves it under the pointer
  return { readout, clear, foot: element("div", { class: "foot" }, clear, readout), keys: element("p", { class: "keys" }) };
}

function slider(text, onInput) {
  const range = element("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": text });
  range.addEventListener("input", () => {
    onInput(Number(range.value));
    fillRange(range);
  });
  return element("label", { class: "alpha" }, text, range);
}

/** Put the range's handle, and the filled part before it, at a value. */
function moveRange(range, value, text = null) {
  range.value = value;
  if (text) range.setAttribute("aria-valuetext", text);
  fillRange(range);
}

function fillRange(range) {
  range.style.setProperty("--share", String(Number(range.value) / Math.max(Number(range.max), 1e-9)));
}

/** Mark the one button of a group whose data attribute has the value. */
function markPressed(group, attribute, value) {
  for (const one of group.children) one.setAttribute("aria-pressed", String(one.dataset[attribute] === String(value)));
}

/** The colour bar of the heat, with its numbers. */
function showHeatBar(bar, shown, { heat_title: title, heat_colors: colors, heat_min: min, heat_max: max }) {
  const [name, ramp, numbers] = bar.children;
  bar.hidden = !shown;
  name.textContent = title;
  [...numbers.children].forEach((one, place) => (one.textContent = heatText(place / 2, min, max)));
  ramp.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
}

/** A heat of 0..1 as the number it stands for. */
function heatText(heat, min, max, digits = 2) {
  return String(Number((min + heat * (max - min)).toPrecision(digits)));
}

/** Show the buttons of a group whose data attribute is one of `names`; none when there is nothing to choose. */
function offer(group, attribute, names) {
  for (const one of group.children) one.hidden = !names.includes(one.dataset[attribute]);
  group.hidden = names.length < 2;
}

/** One button a picture, kept in place so that focus survives. */
function fillBases(group, titles, onChoose) {
  const made = titles.map((title, index) => button({ "data-base": index }, () => onChoose(index), title));
  if ([...group.children].map((one) => one.textContent).join("\n") !== titles.join("\n")) group.replaceChildren(...made);
  group.hidden = titles.length < 2;
}

/** Show play or pause. */
function markPlaying(play, playing, labels) {
  const text = playing ? labels.pause : labels.play;
  play.setAttribute("aria-label", text);
  play.title = text;
  play.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
  play.classList.toggle("playing", playing);
}
