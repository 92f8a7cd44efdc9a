// The heat-map explorer: recorded attention of a query patch over frames, beside its prediction.

const SPECIAL = 5; // tokens of a frame that are no patches
const ADDRESS = ["layer", "head", "frames", "query"];
const HELD = [
  "images", "rows", "columns", "queries", "frame_counts", "entropy", "singular_ratio",
  "recorded", "recorded_peaks", "predicted", "predicted_peaks",
];
const COLOURS = { recorded: ["--measured"], predicted: ["--theory"] };

const readTraits = (model) =>
  Object.fromEntries([...HELD, ...ADDRESS].map((name) => [name, model.get(name)]));

/** Refuse what is not recorded. */
function requireDrawable({ entropy, queries, frame_counts: counts, ...chosen }) {
  requireThat(counts.length > 0, "there must be maps; got none");
  const limits = { layer: entropy[0].length, head: entropy[0][0].length, query: queries.length };
  for (const [name, count] of Object.entries(limits)) {
    requireThat(
      Number.isInteger(chosen[name]) && chosen[name] >= 1 && chosen[name] <= count,
      `${name} must be a whole number from 1 to ${count}; got ${chosen[name]}`,
    );
  }
  requireThat(
    counts.includes(chosen.frames),
    `frames must be one of ${counts.join(", ")}; got ${chosen.frames}`,
  );
}

/** Bytes of all maps, decoded once. */
const codesOf = ({ recorded, predicted }) => ({
  recorded: recorded.map(bytesOf),
  predicted: predicted.map(bytesOf),
});

/** What is drawn of a state. */
function viewOf(traits, codes) {
  const { queries, entropy, rows, columns, frames } = traits;
  const [layer, head, query] = [traits.layer - 1, traits.head - 1, traits.query - 1];
  const pass = traits.frame_counts.indexOf(frames);
  const shown = Math.min(frames, traits.images.length);
  const [patches, tokens] = [rows * columns, frames * (rows * columns + SPECIAL)];
  const number = (layer * entropy[pass][0].length + head) * queries.length + query;
  const names = ["recorded", "predicted"].filter((name) => codes[name][pass].length > 0);
  const maps = Object.fromEntries(
    names.map((name) => [
      name,
      decodeMap(codes[name][pass], traits[`${name}_peaks`][pass], number, shown * patches),
    ]),
  );
  return {
    ...traits,
    shown,
    tokens,
    maps,
    entropy: entropy[pass][layer][head],
    singularRatio: traits.singular_ratio[pass][layer][head],
    peak: Math.max(...Object.values(maps).flat()),
    statistics: Object.fromEntries(
      names.map((name) => [name, mapStatistics(maps[name], patches, tokens)]),
    ),
    agreement: maps.predicted ? correlation(maps.recorded, maps.predicted) : null,
  };
}

/** Both panels in a group where the arrow keys go through the queries. */
function mapPanels(model) {
  const choose = (query) => {
    if (query < 1) return;
    assign(model, { query });
    model.save_changes();
  };
  const panels = [
    mapPanel({ name: "recorded", letter: "a", title: "Recorded", hint: "Dots are queries: choose one.", choose }),
    mapPanel({ name: "predicted", letter: "b", title: "Predicted kernel", hint: "On the same scale.", choose }),
  ];
  const content = element("div", {
    class: "heat-map-explorer-panels",
    role: "group",
    tabindex: "0",
    "aria-label": "Attention over the frames; the arrow keys choose a query",
    "data-lm-suppress-shortcuts": "true",
  });
  content.append(...panels.map((each) => each.content));
  content.addEventListener("keydown", (event) => {
    const direction = ARROWS[event.key];
    if (!direction) return;
    event.preventDefault();
    const count = model.get("queries").length;
    choose(((model.get("query") - 1 + direction + count) % count) + 1);
  });
  return { content, panels };
}

function build({ model, link }) {
  requireDrawable(readTraits(model));
  const controls = heatMapControls(model, link);
  const numbers = heatMapNumbers();
  const { content: surface, panels } = mapPanels(model);
  const parts = [numbers, ...panels];
  const content = element("div", { class: "heat-map-explorer-grid" });
  content.append(controls.content, numbers.content, surface);
  let kept = { recorded: null, codes: null, colours: null };
  function draw() {
    controls.refresh();
    const traits = readTraits(model);
    requireDrawable(traits);
    if (kept.recorded !== traits.recorded) {
      kept = { ...kept, recorded: traits.recorded, codes: codesOf(traits) };
    }
    kept.colours ??= coloursOf(surface);
    const view = { ...viewOf(traits, kept.codes), colours: kept.colours };
    surface.classList.toggle("alone", !view.maps.predicted);
    for (const part of parts) part.draw(view);
  }
  const forget = () => (kept.colours = null);
  return { content, draw, forget, dispose: () => {} };
}

/** Colours of the present theme. */
const coloursOf = (root) =>
  Object.fromEntries(
    Object.entries(resolveRamps(root, COLOURS)).map(([name, [colour]]) => [name, colour]),
  );

export default defineWidget({
  className: "heat-map-explorer",
  redrawOn: [...HELD, ...ADDRESS],
  addressKeys: ADDRESS,
  check: (model, given) => requireDrawable({ ...readTraits(model), ...given }),
  build,
});
