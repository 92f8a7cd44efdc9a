// The singular values of a law, one dot each, and those of the sample over them.

const VALUES_SHOWN = 25; // on the sphere in three dimensions: harmonics of order 0 to 4
const VALUES_COUNTED = 64; // enough to see where the last plateau that is shown ends
const FLOOR = 1e-3; // of the logarithmic axis
const DECADES = [1, 0.1, 0.01, 0.001];
const SAME = 1e-9; // relative difference of values on one plateau

function singularValuesPanel() {
  const { svg, size, forget } = plotOf("Singular values of attention relative to the largest");
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({
    name: "profile",
    letter: "a",
    title: "Singular values",
    hint: "Equal values form a plateau, marked with its length.",
    plot: [svg],
  });
  area.before(legend);

  function draw({ closed, sample, tokens }) {
    const { width, height } = size();
    const x = scaleOf([0, VALUES_SHOWN + 0.5], [44, width - 8]);
    const y = scaleOf([FLOOR, 1], [height - 34, 22], Math.log, Math.exp);
    const points = (values) =>
      values
        .slice(0, VALUES_SHOWN)
        .map((value, index) => [x.position(index + 1), y.position(value), value])
        .filter(([, , value]) => value >= FLOOR);
    svg.replaceChildren(
      ...valueAxes(x, y),
      ...plateausOf(closed.singularValues).flatMap((plateau) => plateauMark(x, y, plateau)),
      ...points(closed.singularValues).map(([cx, cy]) =>
        shape("circle", { class: "theory", cx, cy, r: 3 }),
      ),
      shape(
        "g",
        { class: sample.stale ? "stale" : "" },
        ...points(sample.profile.singularValues).map(([px, py]) => measuredMarker(0, px, py)),
      ),
    );
    legend.replaceChildren(
      element("span", {}, legendDot("theory"), "closed form"),
      element("span", {}, legendMarker(0), `sample of ${tokens} tokens`),
    );
  }
  return { content, draw, forget };
}

/** Runs of equal values, { first, length, value }, but for the last, which may be cut short. */
function plateausOf(values) {
  const plateaus = [];
  values.forEach((value, index) => {
    const last = plateaus.at(-1);
    if (last && Math.abs(value - last.value) <= SAME * last.value) last.length += 1;
    else plateaus.push({ first: index + 1, length: 1, value });
  });
  return plateaus.slice(0, -1);
}

/** A line along a plateau of two or more values, and how many they are. */
function plateauMark(x, y, { first, length, value }) {
  const end = Math.min(first + length - 1, VALUES_SHOWN + 0.5);
  if (length < 2 || value < FLOOR || first >= VALUES_SHOWN) return [];
  const [left, right, height] = [x.position(first), x.position(end), y.position(value)];
  const attributes = { class: "plateau-label", "text-anchor": "middle" };
  return [
    horizontal("plateau", left, right, height),
    text(`× ${length}`, (left + right) / 2, height - 9, attributes),
  ];
}

function valueAxes(x, y) {
  const [bottom] = y.range;
  const [left, right] = [x.position(0), x.range[1]];
  const decades = DECADES.flatMap((value) => [
    horizontal("grid", left, right, y.position(value)),
    tickBeside(value, left, y.position(value)),
  ]);
  const indices = [1, 5, 10, 15, 20, 25].map((index) =>
    tickBelow(index, x.position(index), bottom),
  );
  const title = titleBelow(["index ", { symbol: "n" }], (left + right) / 2, bottom);
  const upright = uprightText("σₙ / σ₁", 10, (y.range[0] + y.range[1]) / 2);
  return [...decades, ...indices, title, upright];
}
