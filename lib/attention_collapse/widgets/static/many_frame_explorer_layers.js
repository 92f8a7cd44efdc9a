// Bars by layer, with outlines of those in training: shares of the reference frame, ranks.

const BAR = 0.72; // of the distance between layers

/** Shares of the reference frame, on a logarithmic axis from a power of ten below the least. */
const sharePanel = () =>
  layerPanel({
    name: "shares",
    letter: "b",
    title: "Reference frame",
    hint: "Share of attention, in %.",
    values: ({ shown }) => shown,
    show: (share) => significant(100 * share),
    axis({ leastShare }, range) {
      const floor = Math.floor(Math.log10(leastShare));
      const marks = Array.from({ length: 1 - floor }, (_, index) => Number(`1e${index + floor}`));
      const label = (mark) => Number((100 * mark).toPrecision(1));
      return { y: scaleOf([10 ** floor, 1], range, Math.log), marks, label };
    },
  });

const ratioPanel = () =>
  layerPanel({
    name: "ratios",
    letter: "c",
    title: "σ₂/σ₁",
    hint: "0 at rank one; one network.",
    values: ({ ratios }) => ratios,
    show: (ratio) => ratio.toFixed(2),
    axis: (_, range) => ({
      y: scaleOf([0, 1], range),
      marks: [0, 0.25, 0.5, 0.75, 1],
      label: String,
    }),
  });

/** A panel of bars; `values` of a view are { now, trained }, or { absent } with the reason. */
function layerPanel({ name, letter, title, hint, values, show, axis }) {
  const { svg, size, forget } = plotOf(`${title}, by layer`);
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({ name, letter, title, hint, plot: [svg] });
  area.before(legend);

  function draw(view) {
    const { width, height } = size();
    const { now = [], trained = [], absent } = values(view);
    const layers = view.shown.now.length;
    const x = scaleOf([0.5, layers + 0.5], [32, width - 4]);
    const { y, marks, label } = axis(view, [height - 34, 12]);
    const middle = (x.range[0] + x.range[1]) / 2;
    svg.replaceChildren(
      ...layerAxes(x, y, { marks, label, layers }),
      ...now.map((value, index) => bar("now", x, y, index + 1, value)),
      ...trained.map((value, index) => bar("trained", x, y, index + 1, value)),
      ...now.map((value, index) =>
        text(show(value), x.position(index + 1), labelHeight(y, value, trained[index]), {
          class: "bar-label",
          "text-anchor": "middle",
        }),
      ),
      ...(absent ? [text(absent, middle, height / 2, { class: "absent", "text-anchor": "middle" })] : []),
    );
    const said = absent ?? now.map((value, index) => `layer ${index + 1} ${show(value)}`).join(", ");
    svg.setAttribute("aria-label", `${title}, by layer: ${said}`);
    legend.style.visibility = absent ? "hidden" : "visible";
    legend.replaceChildren(
      element("span", {}, legendDot("bar now"), `at ${counted(view.frames, "frame")}`),
      element("span", {}, legendDot("bar trained"), `at ${view.trained_frames}`),
    );
  }
  return { content, draw, forget };
}

function layerAxes(x, y, { marks, label, layers }) {
  const [[left, right], [bottom]] = [x.range, y.range];
  return [
    ...marks.flatMap((mark) => [
      horizontal("grid", left, right, y.position(mark)),
      tickBeside(label(mark), left, y.position(mark)),
    ]),
    ...Array.from({ length: layers }, (_, index) =>
      tickBelow(index + 1, x.position(index + 1), bottom),
    ),
    titleBelow("layer", (left + right) / 2, bottom),
  ];
}

function bar(name, x, y, layer, value) {
  const [left, right] = [x.position(layer - BAR / 2), x.position(layer + BAR / 2)];
  const top = y.position(value);
  const height = Math.max(y.range[0] - top, 0);
  return shape("rect", { class: `bar ${name}`, x: left, y: top, width: right - left, height });
}

/** Above a bar, and above its outline where that would run through the number. */
function labelHeight(y, now, trained) {
  const [top, outline] = [y.position(now), y.position(trained)];
  return (top - outline < LINE ? Math.min(top, outline) : top) - 4;
}
