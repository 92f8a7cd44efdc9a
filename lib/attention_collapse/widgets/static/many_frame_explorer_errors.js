// The error of rotations over frames, on logarithmic axes, one curve for each treatment.

const ERROR_MARGIN = 1.25; // of the axis around the curves, a factor
const LABEL_ROOM = 60; // px

function errorPanel() {
  const { svg, size, forget } = plotOf("Error of rotations over frames");
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({
    name: "errors",
    letter: "a",
    title: "Error of rotations",
    hint: "In degrees; bars: standard errors.",
    plot: [svg],
  });
  area.before(legend);

  function draw(view) {
    const { width, height } = size();
    const counts = view.frame_counts;
    const x = scaleOf([counts[0], counts.at(-1)], [30, width - 12], Math.log);
    const y = scaleOf(errorRange(view), [height - 34, 10], Math.log);
    const order = TREATMENTS.map((_, index) => index).filter((index) => index !== view.chosen);
    svg.replaceChildren(
      ...errorAxes(x, y, view),
      ...[...order, view.chosen].flatMap((index) => errorCurve(x, y, view, index)),
      ...presentError(x, y, view),
    );
    legend.replaceChildren(
      ...TREATMENTS.map(([, label], index) =>
        element("span", {}, legendLine(curveName(view, index)), label),
      ),
    );
  }
  return { content, draw, forget };
}

/** From below the least of all errors to above the greatest, whatever is chosen. */
function errorRange({ errors, standard_errors: bars }) {
  const ends = errors.rotation.flatMap((curve, index) =>
    curve.map((mean, place) => mean + bars.rotation[index][place]),
  );
  return [Math.min(...errors.rotation.flat()) / ERROR_MARGIN ** 2, Math.max(...ends) * ERROR_MARGIN];
}

/** 1, 2 and 5 times the powers of ten within a range. */
function marksWithin([low, high]) {
  const first = Math.floor(Math.log10(low));
  const decades = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, n) => n + first);
  const marks = decades.flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  return marks.filter((mark) => mark >= low && mark <= high);
}

function errorAxes(x, y, view) {
  const [bottom, top] = y.range;
  const [left, right] = x.range;
  const place = x.position(view.trained_frames);
  return [
    ...marksWithin(errorRange(view)).flatMap((mark) => [
      horizontal("grid", left, right, y.position(mark)),
      tickBeside(mark, left, y.position(mark)),
    ]),
    ...view.frame_counts
      .filter((_, index) => index % 2 === 0)
      .map((count) => tickBelow(count, x.position(count), bottom)),
    titleBelow(["frames ", { symbol: "S" }], (left + right) / 2, bottom),
    vertical("training", place, bottom, top),
    text(`${view.trained_frames} in training`, place + 4, top + 9, { class: "tick" }),
  ];
}

const curveName = ({ chosen }, index) => (index === chosen ? "curve chosen" : "curve");

/** A curve; the chosen one has bars. */
function errorCurve(x, y, view, index) {
  const { errors, standard_errors: bars, frame_counts, chosen } = view;
  const means = errors.rotation[index];
  const points = means.map((mean, place) => [x.position(frame_counts[place]), y.position(mean)]);
  const ends = ([place], at) => {
    const bar = bars.rotation[index][at];
    const low = Math.max(means[at] - bar, y.value(y.range[0]));
    return vertical("error", place, y.position(low), y.position(means[at] + bar));
  };
  return [
    ...(index === chosen ? points.map(ends) : []),
    shape("path", { class: curveName(view, index), d: pathThrough(points) }),
  ];
}

/** The present number of frames on the chosen curve, with its error. */
function presentError(x, y, { now }) {
  const [cx, cy] = [x.position(now.frames), y.position(now.rotation)];
  const beside = cx - x.range[0] > LABEL_ROOM; // left of the point, where a rising curve is not
  const [left, anchor] = beside ? [cx - 8, "end"] : [Math.max(cx, x.range[0] + 18), "middle"];
  const attributes = { class: "present-label", "text-anchor": anchor };
  return [
    vertical("cross", cx, ...y.range),
    shape("circle", { class: "present", cx, cy, r: 5 }),
    text(`${now.rotation.toFixed(2)}°`, left, cy - 11, attributes),
  ];
}
