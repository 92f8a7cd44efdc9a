// The spread of the tokens over depth and frames, with the point where the sliders stand.

const LEVELS = [0.8, 0.6, 0.4, 0.2, 0.1, 0.05]; // contours
const FIELD = { columns: 128, rows: 96 }; // entries of the painted surface

/** The surface; `move({ depth, frames })` is called while the reader drags, `rest()` at the end. */
function surfacePanel(move, rest) {
  const { svg, size, forget } = plotOf("Spread of the tokens over depth and number of frames");
  const field = element("canvas", { "aria-hidden": "true" });
  const { content, area } = panel({
    name: "surface",
    letter: "c",
    title: "Collapse surface",
    hint: "Spread: distance to the Dirac. Drag the point.",
    plot: [field, svg],
  });
  let scales = null;
  let painted = "";
  let contours = [];
  const follow = ({ clientX, clientY }) => {
    const { left, top } = area.getBoundingClientRect();
    const depth = scales.depth.value(within(scales.depth.range, clientX - left));
    const frames = scales.frames.value(within(scales.frames.range, clientY - top));
    move({ depth: Math.round(depth), frames: Math.round(frames) });
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
    scales = surfaceScales(size(), view);
    const key = JSON.stringify([view.surface, view.limits, view.palette.spread]);
    if (key !== painted) {
      paintMatrix(field, spreadField(view), view.palette.spread);
      contours = LEVELS.map((level) => [level, logarithmicTimeOf(view.surface, level)]);
      painted = key;
    }
    placeOver(field, scales.depth, scales.frames);
    svg.replaceChildren(
      ...surfaceAxes(scales, view),
      ...spreadContours(scales, view, contours),
      ...exponentStrip(scales, view),
      ...surfacePoint(scales, view),
    );
  }
  return { content, draw, forget };
}

/** The place nearest to `place` on an axis that may run either way. */
function within(range, place) {
  return Math.min(Math.max(place, Math.min(...range)), Math.max(...range));
}

function surfaceScales({ width, height }, { surface, limits }) {
  const right = width - 72;
  const time = (depth) => Math.log(depthTime(surface, depth));
  const depthOf = (logarithm) => Math.expm1(logarithm) / surface.step;
  return {
    depth: scaleOf([0, limits.depth], [44, right], time, depthOf),
    frames: scaleOf([1, limits.frames], [height - 34, 24], Math.log, Math.exp),
    exponent: scaleOf([0, 1], [right + 20, width - 8]),
  };
}

/** The spread on a grid, top row first, as shares of the colour ramp. */
function spreadField({ surface, limits }) {
  const end = Math.log(depthTime(surface, limits.depth));
  const centres = (count) => Array.from({ length: count }, (_, index) => (index + 0.5) / count);
  return centres(FIELD.rows).map((fall) => {
    const exponent = collapseExponent(surface, limits.frames ** (1 - fall));
    return centres(FIELD.columns).map((share) => 1 - spreadAfter(surface, exponent * share * end));
  });
}

function surfaceAxes({ depth, frames }, { limits }) {
  const [left, right] = depth.range;
  const [bottom, top] = frames.range;
  const shares = [0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1];
  const layers = new Set(shares.map((share) => Math.round(share * limits.depth)));
  const powers = [1, 4, 16, 64, 256, 1024].filter((count) => count <= limits.frames);
  return [
    shape("rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top }),
    ...[...layers].map((layer) => tickBelow(layer, depth.position(layer), bottom)),
    ...powers.map((count) => tickBeside(count, left, frames.position(count))),
    titleBelow(["depth ", { symbol: "L" }, " (layers)"], (left + right) / 2, bottom),
    uprightText(["frames ", { symbol: "S" }], 10, (top + bottom) / 2),
  ];
}

/** Contours of the spread, in closed form: p ln t is constant along each. Labels stand on top. */
function spreadContours({ depth, frames }, { surface, limits }, contours) {
  const end = Math.log(depthTime(surface, limits.depth));
  return contours.flatMap(([level, logarithmicTime]) => {
    const exponent = logarithmicTime / end; // where the contour leaves on the right
    const first = Math.max(1, (exponent * surface.dilutionFrames) / (1 - exponent));
    if (exponent >= 1 || first >= limits.frames) return [];
    const points = between(frames.position(first), frames.range[1]).map((place) => {
      const time = logarithmicTime / collapseExponent(surface, frames.value(place));
      return [depth.position(Math.expm1(time) / surface.step), place];
    });
    const [x, y] = points.at(-1);
    return [
      shape("path", { class: "contour", d: pathThrough(points) }),
      text(String(level), x, y - 6, { class: "tick", "text-anchor": "middle" }),
    ];
  });
}

/** Places along an axis, close enough for a smooth curve. */
function between(start, end) {
  return Array.from({ length: 49 }, (_, step) => start + (step / 48) * (end - start));
}

/** The exponent beside the surface, on the same axis of frames. */
function exponentStrip({ frames, exponent }, { surface, frames: present, now }) {
  const [bottom, top] = frames.range;
  const [left, right] = exponent.range;
  const curve = between(bottom, top).map((place) => [
    exponent.position(collapseExponent(surface, frames.value(place))),
    place,
  ]);
  const point = { cx: exponent.position(now.exponent), cy: frames.position(present) };
  return [
    shape("rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top }),
    shape("path", { class: "exponent", d: pathThrough(curve) }),
    shape("circle", { class: "theory", ...point, r: 3.6 }),
    ...[0, 1].map((end) => tickBelow(end, exponent.position(end), bottom)),
    titleBelow("exponent", (left + right) / 2, bottom),
  ];
}

function surfacePoint({ depth, frames }, view) {
  const [cx, cy] = [depth.position(view.depth), frames.position(view.frames)];
  const [bottom, top] = frames.range;
  const [left, right] = depth.range;
  return [
    horizontal("cross", left, right, cy),
    vertical("cross", cx, bottom, top),
    ...view.measured.map(({ depth: layers, frames: count }, index) =>
      measuredMarker(index, depth.position(layers), frames.position(count)),
    ),
    shape("circle", { class: "point", cx, cy, r: 7 }),
  ];
}
