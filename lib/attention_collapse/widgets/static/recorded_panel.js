// Recorded grids of depth by frames, one map for each setting, and where the law stands on them.

const RECORDED_QUANTITIES = {
  spread: "spread of tokens",
  mean_cosine: "mean cosine",
  distance_from_rank_one: "distance from rank one",
  singular_ratio: "σ₂/σ₁",
  stable_rank: "stable rank",
  entropy_deficit: "entropy deficit",
  largest_column: "largest column",
};
const RECORDED_RAMP = { grid: [0, 1, 2, 3, 4, 5].map((stop) => `--spread-${stop}`) };
const HALF = 0.5; // of the spread, where the line of the law runs
const MAP = { left: 42, right: 6, top: 22, bottom: 34 }; // px around a map

/** Numbers of a quantised grid, null where nothing was measured. */
export function restoreGrid({ low, step, codes }, bits, missing) {
  const bytes = Uint8Array.from(atob(codes), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const width = bits / 8;
  const code = (index) => (bits === 8 ? view.getUint8(index) : view.getUint16(2 * index, true));
  return Array.from({ length: bytes.length / width }, (_, index) =>
    code(index) === missing ? null : low + step * code(index),
  );
}

/** Index of the recorded number of frames nearest to a number, in ratios. */
export function nearestFrames(recorded, frames) {
  const distances = recorded.map((count) => Math.abs(Math.log(count / frames)));
  return distances.indexOf(Math.min(...distances));
}

/** The number of each setting at a number of frames and after `depth` layers, nearest on the grid. */
export function recordedAt(overlay, quantity, depth, frames) {
  const { settings, depth: layers, bits, missing, grids } = overlay;
  const values = restoreGrid(grids[quantity], bits, missing);
  const layer = Math.min(Math.max(depth, 1), layers) - 1;
  const row = nearestFrames(overlay.frames, frames);
  const place = (setting) => (setting * overlay.frames.length + row) * layers + layer;
  return settings.map((_, setting) => values[place(setting)]);
}

/** Depth at which the law has brought the spread down to `level`, at a number of frames. */
export function depthOfLevel(surface, level, frames) {
  const time = logarithmicTimeOf(surface, level) / collapseExponent(surface, frames);
  return Math.expm1(time) / surface.step;
}

/** The maps side by side and the choice of their quantity. */
function recordedPanel(model) {
  const overlay = model.get("overlay");
  const options = Object.keys(overlay.grids).map((name) => [name, RECORDED_QUANTITIES[name] ?? name]);
  const quantity = choice({
    model,
    label: "Recorded",
    options,
    read: () => model.get("quantity"),
    write: (name) => model.set("quantity", name),
  });
  const maps = overlay.settings.map(recordedMap);
  const row = element("div", { class: "collapse-surface-maps" });
  row.append(...maps.map(({ area }) => area));
  const hint = "Measured, not the law. Line: where the law leaves half of the spread.";
  const { content, area } = panel({
    name: "recorded",
    letter: "d",
    title: "Recorded grids, depth by frames",
    hint,
    plot: [row],
  });
  area.before(quantity.row);

  function draw(view) {
    quantity.refresh();
    const name = model.get("quantity");
    const values = restoreGrid(overlay.grids[name], overlay.bits, overlay.missing);
    const measured = values.filter((value) => value !== null);
    const range = [Math.min(...measured), Math.max(...measured)];
    const shown = recordedAt(overlay, name, view.depth, view.frames);
    maps.forEach((map, index) =>
      map.draw({ ...view, overlay, values, range, index, now: shown[index] }),
    );
    area.dataset.shown = JSON.stringify(shown);
  }
  return { content, draw, forget: () => maps.forEach((map) => map.forget()) };
}

/** One map: a canvas of one pixel per entry under an SVG with axes, line and cross. */
function recordedMap(setting) {
  const { svg, size, forget } = plotOf(`Recorded grid: ${setting}`);
  const field = element("canvas", { "aria-hidden": "true" });
  const area = element("div", { class: "collapse-surface-map", "data-setting": setting }, field, svg);
  let ramp = null;

  function draw(view) {
    const { width, height } = size();
    const { depth, frames } = view.overlay;
    ramp ??= resolveRamps(area, RECORDED_RAMP).grid;
    const x = scaleOf([0.5, depth + 0.5], [MAP.left, width - MAP.right]);
    const y = scaleOf([-0.5, frames.length - 0.5], [height - MAP.bottom, MAP.top]);
    paintRecorded(field, view, ramp);
    placeOver(field, x, y);
    const shown = view.now === null ? "not measured" : significant(view.now);
    svg.replaceChildren(
      text(`${setting}: ${shown}`, MAP.left, 14, { class: "axis" }),
      ...recordedAxes(x, y, view.overlay),
      shape("path", { class: "law", d: pathThrough(lawLine(x, y, view)) }),
      ...recordedCross(x, y, view),
    );
  }
  return {
    area,
    draw,
    forget() {
      ramp = null;
      forget();
    },
  };
}

/** Paint the map of one setting, most frames on top; what was not measured stays clear. */
function paintRecorded(canvas, { overlay, values, range, index }, ramp) {
  const { depth, frames } = overlay;
  const [low, high] = range;
  [canvas.width, canvas.height] = [depth, frames.length];
  const context = canvas.getContext("2d");
  const image = context.createImageData(depth, frames.length);
  values.slice(index * frames.length * depth, (index + 1) * frames.length * depth).forEach((value, place) => {
    if (value === null) return;
    const row = frames.length - 1 - Math.floor(place / depth);
    const colour = rampColour(ramp, (value - low) / (high - low || 1));
    image.data.set([...colour, 255], 4 * (row * depth + (place % depth)));
  });
  context.putImageData(image, 0, 0);
}

function recordedAxes(x, y, { depth, frames }) {
  const [[left, right], [bottom, top]] = [x.range, y.range];
  const rows = frames.map((count, row) => [count, row]).filter(([, row]) => row % 2 === 0);
  return [
    shape("rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top }),
    ...[1, Math.round(depth / 2), depth].map((layer) => tickBelow(layer, x.position(layer), bottom)),
    ...rows.map(([count, row]) => tickBeside(count, left, y.position(row))),
    titleBelow("layer", (left + right) / 2, bottom),
    text("frames", left - 6, top - 8, { class: "tick", "text-anchor": "end" }),
  ];
}

/** Points of the line where the law has the half of the spread, inside the map. */
function lawLine(x, y, { overlay, surface, scheme }) {
  if (scheme !== "pre-norm") return [];
  const inside = (layer) => layer >= 0.5 && layer <= overlay.depth + 0.5;
  return overlay.frames
    .map((count, row) => [depthOfLevel(surface, HALF, count), row])
    .filter(([layer]) => inside(layer))
    .map(([layer, row]) => [x.position(layer), y.position(row)]);
}

/** A cross on the grid entry whose number is shown. */
function recordedCross(x, y, { overlay, depth, frames }) {
  const layer = Math.min(Math.max(depth, 1), overlay.depth);
  const row = nearestFrames(overlay.frames, frames);
  return [
    horizontal("cross", ...x.range, y.position(row)),
    vertical("cross", x.position(layer), ...y.range),
  ];
}
