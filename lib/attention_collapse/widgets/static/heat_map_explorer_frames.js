// Maps over frames: shade over a grey picture, dots on the queries.

/** Which query, from 1, is nearest to a place in a frame; 0 where the frame has none. */
export function nearestQuery(queries, frame, row, column) {
  const distance = ([at, y, x]) => (at === frame ? Math.hypot(y - row, x - column) : Infinity);
  const nearest = Math.min(...queries.map(distance));
  return nearest < Infinity ? queries.findIndex((each) => distance(each) === nearest) + 1 : 0;
}

const heatFrame = ({ rows, columns }) =>
  element(
    "div",
    { class: "heat-map-explorer-frame" },
    element("img", { draggable: "false" }),
    element("canvas", { "aria-hidden": "true" }),
    shape("svg", {
      viewBox: `0 0 ${columns} ${rows}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    }),
  );

/** A panel of frames with the map `name` over them; `choose` takes a query. */
function mapPanel({ name, letter, title, hint, choose }) {
  const frames = element("div", { class: "heat-map-explorer-frames" });
  const { content } = panel({ name, letter, title, hint, plot: [frames] });
  let drawn = null;

  function start(view) {
    frames.replaceChildren(...view.images.map(() => heatFrame(view)));
    [...frames.children].forEach((each, frame) => {
      each.children[0].src = view.images[frame];
      each.addEventListener("click", (event) => {
        const box = each.getBoundingClientRect();
        const row = ((event.clientY - box.top) / box.height) * view.rows - 0.5;
        const column = ((event.clientX - box.left) / box.width) * view.columns - 0.5;
        choose(nearestQuery(view.queries, frame, row, column));
      });
    });
    drawn = view.images;
  }

  function draw(view) {
    const weights = view.maps[name];
    content.hidden = !weights;
    if (!weights) return;
    if (drawn !== view.images) start(view);
    const patches = view.rows * view.columns;
    [...frames.children].forEach((each, frame) => {
      const [picture, canvas, marks] = each.children;
      const shown = frame < view.shown;
      each.classList.toggle("absent", !shown);
      picture.alt = shown ? describeFrame(name, frame, view) : `frame ${frame + 1}, not in this pass`;
      const part = shown ? weights.slice(frame * patches, (frame + 1) * patches) : [];
      paintHeat(canvas, part, view, view.colours[name]);
      marks.replaceChildren(...queryMarks(view, frame));
    });
  }
  return { content, draw, forget: () => {} };
}

const describeFrame = (name, frame, { statistics }) =>
  `frame ${frame + 1}: ${(100 * statistics[name].masses[frame]).toFixed(1)} % of the ${name} attention`;

/** Shade of every patch: opaque at the peak, by the root of the share. */
function paintHeat(canvas, weights, { rows, columns, peak }, colour) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  weights.forEach((weight, patch) => {
    image.data.set([...colour, Math.round(255 * Math.sqrt(weight / peak))], 4 * patch);
  });
  context.putImageData(image, 0, 0);
}

/** Dots on the queries of a frame, a ring around the chosen one. */
const queryMarks = ({ queries, query }, frame) =>
  queries.flatMap(([at, row, column], index) => {
    const [cx, cy] = [column + 0.5, row + 0.5];
    if (at !== frame) return [];
    const dot = shape("circle", { class: "query", cx, cy, r: 0.16 });
    return index === query - 1 ? [shape("circle", { class: "chosen", cx, cy, r: 0.42 }), dot] : [dot];
  });
