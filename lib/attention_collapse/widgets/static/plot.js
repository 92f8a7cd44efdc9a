// Drawing shared by the book's widgets: SVG elements, axes, colour ramps.

const SVG = "http://www.w3.org/2000/svg";
const LINE = 14; // px, height of a line of plot text

/** Build an SVG element: shape("line", { x1: 0, … }). */
function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Text at a point; { symbol } pieces are set in italics. */
function text(pieces, x, y, attributes = {}) {
  const spans = [pieces]
    .flat()
    .map((piece) => (piece.symbol ? shape("tspan", { class: "symbol" }, piece.symbol) : piece));
  return shape("text", { x, y, ...attributes }, ...spans);
}

const horizontal = (name, x1, x2, y) => shape("line", { class: name, x1, x2, y1: y, y2: y });

const vertical = (name, x, y1, y2) => shape("line", { class: name, x1: x, x2: x, y1, y2 });

/** Label of a tick below a horizontal axis at height `bottom`. */
const tickBelow = (value, x, bottom) =>
  text(String(value), x, bottom + LINE + 2, { class: "tick", "text-anchor": "middle" });

/** Label of a tick to the left of a vertical axis at `left`. */
const tickBeside = (value, left, y) =>
  text(String(value), left - 6, y + 4, { class: "tick", "text-anchor": "end" });

/** Title of a horizontal axis, below its ticks. */
const titleBelow = (pieces, x, bottom) =>
  text(pieces, x, bottom + 2 * LINE + 3, { class: "axis", "text-anchor": "middle" });

/** Title of a vertical axis, read from below. */
function uprightText(pieces, x, y) {
  const transform = `translate(${x} ${y}) rotate(-90)`;
  return text(pieces, 0, 0, { class: "axis", "text-anchor": "middle", transform });
}

/** Linear map from `domain` to `range`, after `warp` (identity or a logarithm). */
function scaleOf(domain, range, warp = (value) => value, unwarp = (value) => value) {
  const [low, high] = domain.map(warp);
  const [start, end] = range;
  return {
    range,
    position: (value) => start + ((warp(value) - low) / (high - low)) * (end - start),
    value: (position) => unwarp(low + ((position - start) / (end - start)) * (high - low)),
  };
}

/** Path through points. */
const pathThrough = (points) =>
  points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

/** An SVG that fills a plot area; its size in pixels is read once, until `forget`. */
function plotOf(label) {
  const svg = shape("svg", { role: "img", "aria-label": label });
  let known = null;
  const size = () => {
    if (known) return known;
    const box = svg.parentElement.getBoundingClientRect();
    const [width, height] = [Math.max(box.width, 160), Math.max(box.height, 120)]; // while hidden
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    return (known = { width, height });
  };
  return { svg, size, forget: () => (known = null) };
}

/** Colours of CSS custom properties as [red, green, blue], resolved for the present theme. */
function resolveRamps(root, ramps) {
  const probe = element("i", { hidden: "" });
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  };
  root.append(probe);
  const entries = Object.entries(ramps).map(([ramp, names]) => [ramp, names.map(colour)]);
  probe.remove();
  return Object.fromEntries(entries);
}

/** Colour at a share in [0, 1] of a ramp of equally spaced stops. */
function rampColour(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  const weight = place - index;
  return stops[index].map((low, channel) => low + weight * (stops[index + 1][channel] - low));
}

/** Paint a matrix of shares in [0, 1] into a canvas, one pixel per entry. */
function paintMatrix(canvas, rows, stops) {
  canvas.width = rows[0].length;
  canvas.height = rows.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  rows.flat().forEach((share, pixel) => {
    image.data.set([...rampColour(stops, share), 255], 4 * pixel);
  });
  context.putImageData(image, 0, 0);
}

/** Lay a canvas over the plot area between two axes. */
function placeOver(canvas, x, y) {
  const [left, right] = x.range;
  const [bottom, top] = y.range;
  Object.assign(canvas.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${right - left}px`,
    height: `${bottom - top}px`,
  });
}
