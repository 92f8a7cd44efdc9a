// What the panels of the rank explorer share. Each panel is { content, draw(view) }; a view is what
// `viewOf` in rank_explorer.js computes once per redraw.

/**
 * One panel: a lettered caption over a plot area of fixed height. A `figure` element would get the
 * margins and captions of the host's own figures; the role says the same.
 */
function panel({ name, letter, title, hint, plot }) {
  const area = element("div", { class: "rank-explorer-plot" }, ...plot);
  const content = element(
    "div",
    { class: `rank-explorer-${name}`, role: "figure", "aria-label": title },
    element("div", { class: "rank-explorer-title" }, element("b", {}, letter), title),
    element("div", { class: "rank-explorer-hint" }, hint),
    area,
  );
  return { content, area };
}

const MARKERS = [
  "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
  "M-4 -4H4V4H-4Z",
  "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
  "M0 -5L5 4H-5Z",
];

/** The hollow marker of one measurement. */
function measuredMarker(index, x, y) {
  const transform = `translate(${x.toFixed(2)} ${y.toFixed(2)})`;
  return shape("path", { class: "measured", d: MARKERS[index % MARKERS.length], transform });
}

/** A small drawing of a marker for legends. */
function legendMarker(index) {
  return shape(
    "svg",
    { class: "rank-explorer-key", viewBox: "-7 -7 14 14", "aria-hidden": "true" },
    measuredMarker(index, 0, 0),
  );
}
