// Total variance over depth time in the contracting flow, merged and not, beside the law.

function variancePanel() {
  const { svg, size, forget } = plotOf("Variance of the tokens over depth time");
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({
    name: "variance",
    letter: "b",
    title: "Variance under a contracting head",
    hint: "All tokens pulled to their mean, x ← x − τAx; relative to the start.",
    plot: [svg],
  });
  area.before(legend);
  const entry = (key, label) => element("span", {}, key, label);
  legend.append(
    entry(legendLine("unmerged"), "not merged"),
    entry(legendMarker(0), "merged"),
    entry(legendLine("law"), "law with sizes"),
    entry(legendLine("frozen"), "frozen within groups"),
  );

  function draw({ curves, statistics }) {
    const { width, height } = size();
    const last = FLOW_LAYERS * FLOW_STEP;
    const x = scaleOf([0, last], [46, width - 8]);
    const y = scaleOf([0, 1], [height - 34, 10]);
    const points = (values) =>
      values.map((value, layer) => [x.position(layer * FLOW_STEP), y.position(value)]);
    const marks = points(curves.merged).filter((_, layer) => layer % 4 === 0);
    const frozen = y.position(1 - statistics.between);
    svg.replaceChildren(
      ...varianceAxes(x, y, last),
      horizontal("frozen", ...x.range, frozen),
      shape("path", { class: "unmerged", d: pathThrough(points(curves.unmerged)) }),
      shape("path", { class: "law", d: pathThrough(points(curves.law)) }),
      ...marks.map(([px, py]) => measuredMarker(0, px, py)),
    );
  }
  return { content, draw, forget };
}

function varianceAxes(x, y, last) {
  const [[bottom, top], [left, right]] = [y.range, x.range];
  return [
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
      horizontal("grid", left, right, y.position(value)),
      tickBeside(value, left, y.position(value)),
    ]),
    ...[0, 2, 4, 6, last].map((time) => tickBelow(time, x.position(time), bottom)),
    titleBelow(["depth time ", { symbol: "t" }], (left + right) / 2, bottom),
    uprightText("variance", 8, (bottom + top) / 2),
  ];
}
