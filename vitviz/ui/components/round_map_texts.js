// What the round map says of itself: the round in view, its alternative text, and how much is selected.

const MAX_TRAILS = 200;

function showRoundText({ parts, labels, map, motion, numbers }) {
  const values = { round: motion.shown, last: map.numRounds - 1, rounds: map.numRounds, clusters: map.numClusters };
  parts.readout.textContent = fill(labels.round_of, values);
  moveRange(parts.range, motion.target, parts.readout.textContent);
  parts.points.setAttribute("aria-label", fill(labels.alt, { ...values, points: numbers.format(map.numPoints) }));
}

/** The chip with the number of selected points; trails are offered for few of them. */
function showChip(owner) {
  const { parts, labels, map, selected, numbers } = owner;
  const count = selected ? selected.reduce((sum, one) => sum + one, 0) : 0;
  parts.chip.hidden = !selected;
  parts.chipText.textContent = fill(labels.selected, { count: numbers.format(count) });
  parts.chipTrails.hidden = count > MAX_TRAILS || map.numRounds < 2;
  if (parts.chipTrails.hidden && owner.trails) owner.toggleTrails();
  parts.root.dataset.selected = String(count);
}
