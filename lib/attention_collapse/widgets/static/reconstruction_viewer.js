// The reconstruction viewer: points and cameras in space, predicted beside true.

const VIEW = ["azimuth", "elevation", "zoom"];
const WORDS = ["shown", "colouring"];
const SCENE = ["points", "true_points", "colours", "confidence", "lower", "step", "cameras", "true_cameras"];
const READOUTS = ["points", "cameras", "median error"];

const valuesOf = (model, names) =>
  Object.fromEntries(names.map((name) => [name, model.get(name)]));

const viewOf = (model) => valuesOf(model, VIEW);

/** Refuse traits that show nothing. */
function requireDrawable(model, given) {
  const traits = { ...valuesOf(model, [...VIEW, ...WORDS]), ...given };
  for (const name of VIEW) {
    const [low, high] = RANGES[name];
    requireThat(
      traits[name] >= low && traits[name] <= high,
      `${name} must be at least ${low} and at most ${high}; got ${traits[name]}`,
    );
  }
  for (const [name, options] of Object.entries(viewerOptions(model))) {
    const words = options.map(([word]) => word);
    requireThat(
      words.includes(traits[name]),
      `${name} must be one of ${words.join(", ")}; got ${traits[name]}`,
    );
  }
  requireThat(model.get("points").length > 0, "there must be points; got none");
}

function readouts(model) {
  const { list, cells } = readoutList(READOUTS, ["now", "measured"]);
  const note = element("div", { class: "reconstruction-viewer-note" });
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "reconstruction-viewer-readouts" }, list, note, sentence);

  function draw({ scene, view, colouring }) {
    const [points, cameras, error] = cells;
    points.now.textContent = String(scene.clouds.predicted.length / 3);
    cameras.now.textContent = String(scene.cameras.predicted.length);
    const known = scene.errors !== null;
    error.now.parentElement.hidden = !known;
    error.now.textContent = `${(100 * scene.median).toFixed(1)} %`;
    error.measured.textContent = `of the radius, ${significant(model.get("unit"))} units`;
    note.textContent = NOTES[colouring](100 * scene.largest);
    sentence.textContent = `The scene is ${describeView(view)}.`;
    sentence.dataset.view = JSON.stringify(view);
    sentence.dataset.errors = JSON.stringify(known ? { median: scene.median, largest: scene.largest } : {});
  }
  return { content, draw, forget: () => {} };
}

const NOTES = {
  image: () => "Colours are those of the pixels.",
  confidence: () => "Blue points have a low confidence, orange ones a high one, on a logarithmic scale.",
  error: (largest) =>
    `Distance to the true point: blue is none, orange ${largest.toFixed(1)} % of the radius and more.`,
};

/** The panels in a surface that the reader turns. */
function turnedPanels(hands) {
  const panels = [
    cloudPanel({ name: "predicted", letter: "a", title: "Predicted", hint: "Cameras in blue, true ones in grey." }),
    cloudPanel({ name: "true", letter: "b", title: "True", hint: "Cameras in grey, the first one bold." }),
  ];
  const content = element("div", {
    class: "reconstruction-viewer-panels",
    role: "group",
    tabindex: "0",
    "aria-label":
      "Scene in space; the arrow keys turn it, plus and minus change the distance, Home goes back",
    "data-lm-suppress-shortcuts": "true",
  });
  content.append(...panels.map((each) => each.content));
  followGestures(content, hands);
  return { content, panels };
}

function build({ model, link }) {
  const first = viewOf(model);
  const move = (by) => {
    controls.stop();
    assign(model, movedView(viewOf(model), by));
  };
  const done = () => model.save_changes();
  const controls = viewerControls(model, link, { move, done });
  const numbers = readouts(model);
  const surface = turnedPanels({ move, done, reset: () => assign(model, first) });
  const parts = [numbers, ...surface.panels];
  const hint = element("div", { class: "book-widget-panel-hint" }, HINT);
  const content = element("div", { class: "reconstruction-viewer-grid" });
  content.append(controls.content, surface.content, hint, numbers.content);
  let kept = { scene: null, held: [], paint: null, style: null };

  function draw() {
    controls.refresh();
    requireDrawable(model, {});
    const held = SCENE.map((name) => model.get(name));
    if (held.some((value, index) => value !== kept.held[index])) {
      kept = { held, scene: sceneOf(model), paint: null, style: kept.style };
    }
    kept.style ??= styleOf(surface.content);
    const colouring = model.get("colouring");
    if (kept.paint?.colouring !== colouring) {
      kept.paint = { colouring, colours: pointColours(kept.scene, colouring, kept.style.stops) };
    }
    const shown = model.get("shown");
    surface.content.dataset.shown = shown;
    const view = { scene: kept.scene, view: viewOf(model), shown, colouring };
    for (const part of parts) part.draw({ ...view, ...kept.paint, ...kept.style });
  }
  const forget = () => {
    Object.assign(kept, { paint: null, style: null });
    parts.forEach((part) => part.forget());
  };
  return { content, draw, forget, dispose: controls.stop };
}

const HINT =
  "Drag to turn; pinch, Ctrl and wheel, or + and − to come nearer. With the keyboard: arrow keys, Home for the first view.";

/** Colours of the present theme. */
function styleOf(root) {
  const ramps = resolveRamps(root, { ...RAMPS, strokes: ["--theory", "--muted"] });
  const [predicted, truth] = ramps.strokes.map((channels) => `rgb(${channels})`);
  return { stops: ramps.share, strokes: { predicted, true: truth } };
}

export default defineWidget({
  className: "reconstruction-viewer",
  redrawOn: [...SCENE, ...VIEW, ...WORDS],
  addressKeys: [...VIEW, ...WORDS],
  check: requireDrawable,
  build,
});
