// The exponent of the collapse against frames over dilution frames: one curve.

const RATIOS = [1e-3, 1e3]; // of the axis S f/S∗

/** The curve; `move({ frames })` is called while the reader drags, `rest()` at the end. */
function exponentPanel(move, rest) {
  const { svg, size, forget } = plotOf("Exponent against frames over dilution frames");
  const legend = element("div", { class: "book-widget-panel-legend" });
  legend.append(
    element("span", {}, legendLine("law"), "p = S/(S + S∗/f)"),
    element("span", {}, legendDot("measured hollow"), "slope of the particles at L"),
  );
  const { content, area } = panel({
    name: "exponent",
    letter: "c",
    title: "Collapse surface, on one curve",
    hint: "Exponent under pre-norm. Drag the point.",
    plot: [svg],
  });
  area.before(legend);
  let present = null;
  const follow = ({ clientX }) => {
    const ratio = present.x.value(clientX - area.getBoundingClientRect().left);
    const frames = Math.round(ratio * present.dilutedFrames);
    move({ frames: Math.min(Math.max(frames, 1), present.limits.frames) });
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    svg.setPointerCapture(event.pointerId);
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) follow(event);
  });
  svg.addEventListener("lostpointercapture", rest);

  function draw(view) {
    const { width, height } = size();
    const x = scaleOf(RATIOS, [46, width - 12], Math.log, Math.exp);
    const y = scaleOf([0, 1], [height - 34, 16]);
    present = { x, ...view };
    content.classList.toggle("without-law", !view.powerLaw);
    svg.replaceChildren(...exponentAxes(x, y), ...exponentMarks(x, y, view));
  }
  return { content, draw, forget };
}

function exponentAxes(x, y) {
  const [bottom, top] = y.range;
  const [left, right] = x.range;
  const places = Array.from({ length: 81 }, (_, index) => left + ((right - left) * index) / 80);
  const curve = places.map((place) => {
    const ratio = x.value(place);
    return [place, y.position(ratio / (1 + ratio))];
  });
  return [
    ...[0, 0.5, 1].flatMap((value) => [
      horizontal("grid", left, right, y.position(value)),
      tickBeside(value, left, y.position(value)),
    ]),
    ...[0.001, 0.01, 0.1, 1, 10, 100, 1000].map((ratio) =>
      tickBelow(ratio, x.position(ratio), bottom),
    ),
    titleBelow(
      ["frames over dilution frames, ", { symbol: "S f" }, "/", { symbol: "S" }, "∗"],
      (left + right) / 2,
      bottom,
    ),
    uprightText(["exponent ", { symbol: "p" }], 8, (bottom + top) / 2),
    shape("path", { class: "law", d: pathThrough(curve) }),
  ];
}

/** The present point of the law, and the slope that the particles show there. */
function exponentMarks(x, y, { frames, dilutedFrames, exponent, slope, powerLaw }) {
  const ratio = Math.min(Math.max(frames / dilutedFrames, RATIOS[0]), RATIOS[1]);
  const place = x.position(ratio);
  const measured = powerLaw && slope !== null;
  const clipped = Math.min(Math.max(slope, -0.05), 1.1);
  return [
    vertical("cross", place, ...y.range),
    shape("circle", { class: "point", cx: place, cy: y.position(exponent), r: 7 }),
    ...(measured ? [shape("circle", { class: "measured", cx: place, cy: y.position(clipped), r: 4 })] : []),
  ];
}
