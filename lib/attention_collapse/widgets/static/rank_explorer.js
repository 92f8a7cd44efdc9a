// The rank explorer: sliders for depth and frames, and what they do to the rank of attention.

const ADDRESS = ["depth", "frames", "dilution_frames", "initial_sharpness"];
const LAW = ["initial_sharpness", "dilution_frames", "step"];
const TRAITS = [...ADDRESS, "step", "probes", "measured", "max_depth", "max_frames"];
const RAMPS = {
  spread: ["--spread-0", "--spread-1", "--spread-2", "--spread-3", "--spread-4", "--spread-5"],
  contrast: ["--below-2", "--below-1", "--uniform", "--above-1", "--above-2"],
};

/** A rank: more digits near one, where collapse happens. */
const rankText = (value) => value.toFixed(value < 1.095 ? 4 : value < 100 ? 2 : 0);

const READOUTS = [
  { key: "singularRatio", trait: "singular_ratio", show: significant, label: "σ₂/σ₁" },
  { key: "effectiveRank", trait: "effective_rank", show: rankText, label: "effective rank" },
  { key: "stableRank", trait: "stable_rank", show: rankText, label: "stable rank" },
  { key: "spread", show: significant, label: "spread" },
  { key: "exponent", show: significant, label: "exponent" },
];

const readTraits = (model) => Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));

const surfaceOf = ({ initial_sharpness, dilution_frames, step }) => ({
  initialSharpness: initial_sharpness,
  dilutionFrames: dilution_frames,
  step,
});

/** Refuse traits outside the law, off the sliders or without probes. */
function requireDrawable(traits) {
  const { depth, frames, max_depth, max_frames, initial_sharpness, probes } = traits;
  const whole = Number.isInteger(depth) && Number.isInteger(frames);
  const directions = initial_sharpness.length;
  requireOnSurface(surfaceOf(traits), depth, frames);
  requireThat(whole, `depth and frames must be whole numbers; got ${depth} and ${frames}`);
  requireThat(depth <= max_depth, `depth must be at most ${max_depth} layers; got ${depth}`);
  requireThat(frames <= max_frames, `frames must be at most ${max_frames}; got ${frames}`);
  requireThat(
    probes.every((probe) => probe.length >= directions),
    `sharpness must have at most ${probes[0].length} directions; got ${directions}`,
  );
}

/** What the readouts show at one depth and one number of frames. */
const numbersAt = (surface, depth, frames) => ({
  ...rankProfile(surface, depth, frames, VALUES_SHOWN),
  spread: spread(surface, depth, frames),
  exponent: collapseExponent(surface, frames),
});

/**
 * The measurements under the present law, each with its `place`: "here" if taken at the present
 * depth and frames, else "elsewhere". Those under another law say nothing about this one.
 */
function measuredUnderLaw({ measured, depth, frames, ...traits }) {
  const sameLaw = (each) => LAW.every((name) => equal(each[name], traits[name]));
  return measured.filter(sameLaw).map((each) => ({
    ...each,
    place: each.depth === depth && each.frames === frames ? "here" : "elsewhere",
    taken: `L = ${each.depth}, S = ${each.frames}`,
  }));
}

/** Everything the panels draw, computed once per redraw from the traits. */
function viewOf(traits) {
  const { depth, frames, probes } = traits;
  requireDrawable(traits);
  const surface = surfaceOf(traits);
  return {
    surface,
    depth,
    frames,
    measured: measuredUnderLaw(traits),
    limits: { depth: traits.max_depth, frames: traits.max_frames },
    now: numbersAt(surface, depth, frames),
    start: numbersAt(surface, 0, frames),
    attention: probeAttention(sharpnessAt(surface, depth, frames), probes),
  };
}

/** The numbers now and at depth 0, the measured ones, and a sentence that is read aloud. */
function readouts() {
  const labels = READOUTS.map(({ label }) => label);
  const { list, cells } = readoutList(labels, ["now", "start", "measured"]);
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "rank-explorer-readouts" }, list, sentence);

  function draw(view) {
    const { depth, frames, now, start } = view;
    READOUTS.forEach(({ key, trait, show }, index) => {
      const cell = cells[index];
      cell.now.textContent = show(now[key]);
      cell.start.textContent = key === "exponent" ? "S/(S + S∗)" : `${show(start[key])} at depth 0`;
      cell.measured.replaceChildren(...measuredValues(view, trait, show));
    });
    sentence.textContent = sentenceOn(depth, frames, now);
    for (const { key } of READOUTS) sentence.dataset[key] = String(now[key]);
    sentence.dataset.singularValues = JSON.stringify(now.singularValues);
  }
  return { content, draw, forget: () => {} };
}

const sentenceOn = (depth, frames, { singularRatio, effectiveRank, spread }) =>
  `After ${counted(depth, "layer")} on ${counted(frames, "frame")}, the second singular value ` +
  `is ${significant(singularRatio)} of the first, the effective rank ${rankText(effectiveRank)}; ` +
  `tokens keep ${significant(100 * spread)} % of their spread.`;

/** What each measurement found for one readout; paler and with its place if taken elsewhere. */
function measuredValues({ measured }, trait, show) {
  return measured.flatMap((measurement, index) => {
    if (!(trait in measurement)) return [];
    const { place, taken } = measurement;
    const label = place === "here" ? [] : [element("small", {}, taken)];
    const value = show(measurement[trait]);
    return [element("span", { class: place }, legendMarker(index), value, ...label)];
  });
}

function build({ model, link }) {
  const controls = explorerControls(model, link);
  const parts = [
    readouts(),
    rankProfilePanel(),
    attentionPanel(),
    surfacePanel(controls.move, () => model.save_changes()),
  ];
  const content = element("div", { class: "rank-explorer-grid" });
  content.append(controls.content, ...parts.map((part) => part.content));
  let palette = null;
  return {
    content,
    draw() {
      controls.refresh();
      const view = viewOf(readTraits(model));
      palette ??= resolveRamps(content, RAMPS);
      for (const part of parts) part.draw({ ...view, palette });
    },
    forget() {
      palette = null;
      for (const part of parts) part.forget();
    },
    dispose: controls.dispose,
  };
}

export default defineWidget({
  className: "rank-explorer",
  redrawOn: TRAITS,
  addressKeys: ADDRESS,
  check: (model, given) => requireDrawable({ ...readTraits(model), ...given }),
  build,
});
