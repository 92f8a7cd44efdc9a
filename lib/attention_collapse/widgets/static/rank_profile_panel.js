// The singular values of attention at the present depth and frames, and at depth 0.

const VALUES_SHOWN = 24;
const FLOOR = 1e-3; // of the logarithmic axis
const DECADES = [1, 0.1, 0.01, 0.001];

function rankProfilePanel() {
  const { svg, size, forget } = plotOf("Singular values of attention relative to the largest");
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({
    name: "profile",
    letter: "a",
    title: "Rank profile",
    hint: "Singular values. Collapse leaves one.",
    plot: [svg],
  });
  area.before(legend);

  function draw({ depth, now, start, measured }) {
    const { width, height } = size();
    const x = scaleOf([0, VALUES_SHOWN + 0.5], [44, width - 8]);
    const y = scaleOf([FLOOR, 1], [height - 34, 12], Math.log, Math.exp);
    const points = (values) =>
      values
        .map((value, index) => [x.position(index + 1), y.position(value), value])
        .filter(([, , value]) => value >= FLOOR);
    const before = points(start.singularValues);
    const present = points(now.singularValues);
    svg.replaceChildren(
      ...profileAxes(x, y),
      shape("path", { class: "initial", d: pathThrough(before) }),
      ...before.map(([cx, cy]) => shape("circle", { class: "initial", cx, cy, r: 1.8 })),
      ...present.map(([px, py]) => vertical("stem", px, y.range[0], py)),
      ...present.map(([cx, cy]) => shape("circle", { class: "theory", cx, cy, r: 3.6 })),
      ...ratioMark(x, y, now.singularRatio),
      ...measured.map(({ singular_values: values, place }, index) => {
        const shown = points(values.slice(0, VALUES_SHOWN).map((value) => value / values[0]));
        const markers = shown.map(([px, py]) => measuredMarker(index, px, py));
        return shape("g", { class: place }, ...markers);
      }),
    );
    legend.replaceChildren(...legendEntries(depth, measured));
  }
  return { content, draw, forget };
}

function profileAxes(x, y) {
  const [bottom] = y.range;
  const [left, right] = [x.position(0), x.range[1]];
  const decades = DECADES.flatMap((value) => [
    horizontal("grid", left, right, y.position(value)),
    tickBeside(value, left, y.position(value)),
  ]);
  const indices = [1, 4, 8, 12, 16, 20, 24].map((index) =>
    tickBelow(index, x.position(index), bottom),
  );
  const title = titleBelow(["index ", { symbol: "n" }], (left + right) / 2, bottom);
  const upright = uprightText("σₙ / σ₁", 10, (y.range[0] + y.range[1]) / 2);
  return [...decades, ...indices, title, upright];
}

/** The dashed line at σ₂/σ₁, from the second value to the right edge. */
function ratioMark(x, y, ratio) {
  if (ratio < FLOOR) return [];
  const [height, right] = [y.position(ratio), x.range[1]];
  const label = `σ₂/σ₁ = ${significant(ratio)}`;
  return [
    horizontal("ratio", x.position(2) + 6, right, height),
    text(label, right, height - 6, { class: "ratio-label", "text-anchor": "end" }),
  ];
}

function legendEntries(depth, measured) {
  const entry = (key, label, name = "") => element("span", { class: name }, key, label);
  return [
    entry(legendDot("theory"), depth === 1 ? "after 1 layer" : `after ${depth} layers`),
    entry(legendDot("initial"), "at depth 0"),
    ...measured.map(({ label, place, taken }, index) =>
      entry(legendMarker(index), `${label}, ${taken}`, place),
    ),
  ];
}
