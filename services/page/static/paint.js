// Draws at most once in a frame: messages change the model, and name what has to be drawn anew.

const drawers = new Map();
const changed = new Set();
let scheduled = false;

// Draw when `topic` changed. Returns a function that ends that.
export function onPaint(topic, draw) {
  if (!drawers.has(topic)) drawers.set(topic, new Set());
  drawers.get(topic).add(draw);
  return () => drawers.get(topic).delete(draw);
}

export function touch(...topics) {
  for (const topic of topics) changed.add(topic);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(paint);
}

function paint() {
  scheduled = false;
  const topics = [...changed];
  changed.clear();
  const draws = new Set();
  for (const topic of topics) for (const draw of drawers.get(topic) ?? []) draws.add(draw);
  for (const draw of draws) draw();
}
