// What the panels of a widget share. A panel is { content, draw(view), forget() }; the widget
// computes its view once per redraw.

/**
 * One panel: a lettered caption over a plot area of fixed height, in the grid area of its name. A
 * `figure` element would get the margins and captions of the host's own figures; the role says
 * the same.
 */
function panel({ name, letter, title, hint, plot }) {
  const area = element("div", { class: "book-widget-panel-plot" }, ...plot);
  const content = element(
    "div",
    {
      class: "book-widget-panel",
      "data-panel": name,
      style: `grid-area: ${name}`,
      role: "figure",
      "aria-label": title,
    },
    element("div", { class: "book-widget-panel-title" }, element("b", {}, letter), title),
    element("div", { class: "book-widget-panel-hint" }, hint),
    area,
  );
  return { content, area };
}

/** Named numbers: one cell for each label, with places for its values by the names in `parts`. */
function readoutList(labels, parts) {
  const cells = labels.map((label) => ({
    name: element("div", { class: "name" }, label),
    ...Object.fromEntries(parts.map((part) => [part, element("div", { class: part })])),
  }));
  const list = element("div", { class: "book-widget-readouts" });
  list.append(...cells.map((cell) => element("div", {}, ...Object.values(cell))));
  return { list, cells };
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
    { class: "book-widget-key", viewBox: "-7 -7 14 14", "aria-hidden": "true" },
    measuredMarker(index, 0, 0),
  );
}

/** A dot for legends; `name` chooses its colour. */
const legendDot = (name) =>
  element("i", { class: `book-widget-dot ${name}`, "aria-hidden": "true" });

/** A piece of a line for legends; `name` chooses its stroke. */
const legendLine = (name) =>
  shape(
    "svg",
    { class: "book-widget-key", viewBox: "-7 -7 14 14", "aria-hidden": "true" },
    horizontal(name, -7, 7, 0),
  );
