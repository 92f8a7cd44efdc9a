// The controls of the spectrum explorer: the law, its sliders, the size of the sample, presets.

const MAX_SHARPNESS = 0.7; // on the slider; the closed form ends at 1/√2
const [MIN_TOKENS, MAX_TOKENS] = [32, 256];
const LAWS = [
  ["gaussian", "Gaussian tokens"],
  ["sphere", "Tokens on a sphere"],
];

/** A multiple of 1/`parts`, without the rounding of the thumb's place. */
const rounded = (value, parts) => Math.round(value * parts) / parts;

/** Sharpness of every direction that has a slider. */
const allDirections = (sharpness) =>
  Array.from({ length: MAX_DIRECTIONS }, (_, direction) => sharpness[direction] ?? 0);

function directionSlider(model, direction) {
  return slider({
    model,
    label: ["Sharpness ", element("i", {}, "a"), element("sub", {}, String(direction + 1))],
    scale: scaleOf([0, MAX_SHARPNESS], [0, MAX_SHARPNESS]),
    step: 0.01,
    ticks: [0, 0.2, 0.4, 0.6],
    read: () => allDirections(model.get("sharpness"))[direction],
    write: (value) => {
      const sharpness = allDirections(model.get("sharpness"));
      sharpness[direction] = rounded(value, 100);
      assign(model, { sharpness });
    },
    describe: (value) => value.toFixed(2),
  });
}

function concentrationSlider(model) {
  return slider({
    model,
    label: ["Concentration ", element("i", {}, "κ")],
    scale: scaleOf([0, MAX_CONCENTRATION], [0, MAX_CONCENTRATION]),
    step: 0.1,
    ticks: [0, 3, 6, 9, 12],
    read: () => model.get("concentration"),
    write: (value) => assign(model, { concentration: rounded(value, 10) }),
    describe: (concentration) => concentration.toFixed(1),
  });
}

function dimensionSlider(model) {
  const [index, dimensionAt] = [(each) => DIMENSIONS.indexOf(each), (place) => DIMENSIONS[place]];
  const ends = [DIMENSIONS[0], DIMENSIONS.at(-1)];
  return slider({
    model,
    label: ["Dimension ", element("i", {}, "d")],
    scale: scaleOf(ends, ends.map(index), index, dimensionAt),
    step: 1,
    ticks: DIMENSIONS,
    read: () => model.get("dimension"),
    write: (dimension) => assign(model, { dimension }),
    describe: (dimension) => counted(dimension, "dimension"),
  });
}

function tokensSlider(model) {
  const octaves = [MIN_TOKENS, MAX_TOKENS].map(Math.log2);
  return slider({
    model,
    label: ["Tokens ", element("i", {}, "N"), " of the sample"],
    scale: scaleOf([MIN_TOKENS, MAX_TOKENS], octaves, Math.log2, (octave) => 2 ** octave),
    step: 0.125,
    ticks: [32, 64, 128, 256],
    read: () => model.get("tokens"),
    write: (tokens) => assign(model, { tokens: Math.round(tokens) }),
    describe: (tokens) => counted(tokens, "token"),
  });
}

/** A button that draws the tokens again. */
function newSampleButton(model) {
  const button = element("button", { type: "button" }, "New sample");
  button.addEventListener("click", () => {
    assign(model, { seed: (model.get("seed") + 1) % 2 ** 32 });
    model.save_changes();
  });
  return button;
}

function spectrumControls(model, link) {
  const law = choice({
    model,
    label: "Law of the tokens",
    options: LAWS,
    read: () => model.get("law"),
    write: (name) => assign(model, { law: name }),
  });
  const sliders = {
    gaussian: allDirections([]).map((_, direction) => directionSlider(model, direction)),
    sphere: [concentrationSlider(model), dimensionSlider(model)],
  };
  const tokens = tokensSlider(model);
  const presets = presetButtons(model, (values) => {
    assign(model, values);
    model.save_changes();
  });
  if (link) presets.row.append(link);
  const head = element("div", { class: "spectrum-explorer-head" });
  head.append(law.row, newSampleButton(model));
  const content = element("div", { class: "book-widget-controls" });
  content.append(head, sliderRow([...sliders.gaussian, ...sliders.sphere, tokens]), presets.row);
  const refresh = () => {
    for (const [name, group] of Object.entries(sliders)) {
      for (const { row } of group) row.hidden = name !== model.get("law");
    }
    const all = [law, ...sliders.gaussian, ...sliders.sphere, tokens, presets];
    all.forEach((each) => each.refresh());
  };
  return { content, refresh };
}
