// The spread over depth on logarithmic axes: particles, their law, the slope of the collapse.

const DECAY_FLOOR = 1e-3; // of the axis of the spread
const DOTS = 26; // particles are shown at about so many depths

function decayPanel() {
  const { svg, size, forget } = plotOf("Spread of the particles against depth, and the law");
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({
    name: "decay",
    letter: "b",
    title: "Spread over depth",
    hint: "Relative to the start; axis: log (1 + τL).",
    plot: [svg],
  });
  area.before(legend);
  const slope = element("span");
  const entry = (key, label) => element("span", {}, key, label);
  legend.append(
    entry(legendDot("measured hollow"), "particles"),
    entry(legendLine("law"), "law"),
    entry(legendLine("reference"), slope),
  );

  function draw(view) {
    const { width, height } = size();
    const x = depthAxis(view, [46, width - 8]);
    const y = scaleOf([DECAY_FLOOR, 1], [height - 34, 10], Math.log, Math.exp);
    const points = (spreads) =>
      spreads
        .map((spread, layer) => [x.position(layer), y.position(spread), spread])
        .filter(([, , spread]) => spread >= DECAY_FLOOR);
    const measured = points(view.spreads);
    const shown = new Set(depthsShown(view).map((layer) => x.position(layer)));
    svg.replaceChildren(
      ...decayAxes(x, y, view),
      shape("path", { class: "reference", d: pathThrough(referenceLine(x, y, view)) }),
      shape("path", { class: "law", d: pathThrough(points(view.law)) }),
      ...measured
        .filter(([place]) => shown.has(place))
        .map(([cx, cy]) => shape("circle", { class: "measured", cx, cy, r: 2.6 })),
      ...presentMark(measured, x.position(view.depth), y.range),
    );
    slope.textContent = `slope −p = −${view.exponent.toFixed(2)}`;
  }
  return { content, draw, forget };
}

/** Depth in layers, in equal steps of ln(1 + τL). */
function depthAxis({ limits, step }, range) {
  const warp = (depth) => Math.log1p(step * depth);
  return scaleOf([0, limits.depth], range, warp, (time) => Math.expm1(time) / step);
}

/** Depths at which particles are drawn: equal steps on the axis, as far as the present depth. */
function depthsShown({ limits, step, depth }) {
  const axis = depthAxis({ limits, step }, [0, DOTS - 1]);
  return Array.from({ length: DOTS }, (_, index) => Math.round(axis.value(index))).filter(
    (layer) => layer <= depth,
  );
}

/** The line t^(−p), which is straight on these axes, down to the floor. */
function referenceLine(x, y, { limits, step, exponent }) {
  const end = Math.min(1 + step * limits.depth, DECAY_FLOOR ** (-1 / exponent));
  const place = (time) => [x.position((time - 1) / step), y.position(time ** -exponent)];
  return [place(1), place(end)];
}

function decayAxes(x, y, { limits }) {
  const [bottom, top] = y.range;
  const [left, right] = x.range;
  const layers = [0, 4, 12, 40, 120, 400].filter((layer) => layer < limits.depth);
  return [
    ...[1, 0.1, 0.01, 0.001].flatMap((value) => [
      horizontal("grid", left, right, y.position(value)),
      tickBeside(value, left, y.position(value)),
    ]),
    ...[...layers, limits.depth].map((layer) => tickBelow(layer, x.position(layer), bottom)),
    titleBelow(["depth ", { symbol: "L" }, " (layers)"], (left + right) / 2, bottom),
    uprightText("spread", 8, (bottom + top) / 2),
  ];
}

/** A line at the present depth, and the particles there unless they have left the axes. */
function presentMark(measured, place, [bottom, top]) {
  const last = measured.at(-1);
  const seen = last && last[0] === place;
  return [
    vertical("cross", place, bottom, top),
    ...(seen ? [shape("circle", { class: "measured now", cx: place, cy: last[1], r: 5.5 })] : []),
  ];
}
