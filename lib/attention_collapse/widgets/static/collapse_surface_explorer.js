// The collapse surface explorer: particles under attention, their law, one curve of exponents.

const ADDRESS = ["scheme", "depth", "frames", "dilution_frames", "other_weight"];
const TRAITS = [
  ...ADDRESS,
  "step",
  "temperature",
  "tokens",
  "max_depth",
  "max_frames",
  "overlay",
  "quantity",
];
const POWER_LAWS = ["pre-norm", "shrinking-step"];
const ROUNDING = 1e-12; // a spread below this is rounding, not collapse

const shareText = (value) => (value === null ? "–" : value.toFixed(2));
const spreadText = (value) => (value < 1e-6 ? "< 0.000001" : significant(value));
const percent = (share) => (share < 1e-8 ? "less than 0.000001 %" : `${significant(100 * share)} %`);

const READOUTS = [
  { key: "spread", show: spreadText, label: "spread", beside: "law", particles: true },
  { key: "slope", show: shareText, label: "slope at L", beside: "exponent", particles: true },
  { key: "matchShare", show: shareText, label: "λ₂", note: "1 − p" },
  { key: "dilutedFrames", show: (value) => value.toFixed(0), label: "S∗/f", note: "for eˢ ≫ 1" },
];

const readTraits = (model) => Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));

/** Whether there are recorded grids to show. */
const recorded = ({ overlay }) => Object.keys(overlay).length > 0;

/** Refuse traits off the sliders, or for which the law has no value. */
function requireDrawable(traits) {
  const { scheme, depth, frames, dilution_frames, other_weight, step, max_depth, max_frames } = traits;
  const whole = Number.isInteger(depth) && Number.isInteger(frames);
  const names = SCHEMES.map(([name]) => name);
  requireThat(names.includes(scheme), `scheme must be one of ${names.join(", ")}; got ${scheme}`);
  requireThat(whole, `depth and frames must be whole numbers; got ${depth} and ${frames}`);
  requireThat(depth >= 0, `depth must be at least 0 layers; got ${depth}`);
  requireThat(depth <= max_depth, `depth must be at most ${max_depth} layers; got ${depth}`);
  requireThat(frames >= 1, `frames must be at least 1; got ${frames}`);
  requireThat(frames <= max_frames, `frames must be at most ${max_frames}; got ${frames}`);
  requireThat(
    dilution_frames >= 1 && Number.isFinite(dilution_frames),
    `dilution frames S∗ must be at least 1; got ${dilution_frames}`,
  );
  requireThat(
    other_weight >= SMALLEST_WEIGHT && other_weight <= 1,
    `weight f must be at least ${SMALLEST_WEIGHT} and at most 1; got ${other_weight}`,
  );
  requireThat(step > 0 && step <= 1, `step τ must be positive and at most 1; got ${step}`);
  requireThat(
    !recorded(traits) || Object.hasOwn(traits.overlay.grids, traits.quantity),
    `quantity must be that of a recorded grid; got ${traits.quantity}`,
  );
}

/** Scheme, step and match share of one layer, as attention_layers.js names them. */
export function updateOf({ scheme, step, depth, frames, dilution_frames, other_weight }) {
  const matchShare = 1 - collapseExponent({ dilutionFrames: dilution_frames / other_weight }, frames);
  return scheme === "shrinking-step"
    ? { scheme: "pre-norm", step: 1 / Math.max(depth, 1), matchShare }
    : { scheme, step, matchShare };
}

/** β times the variance of the directions along each of the two directions of a cap. */
export const sharpnessOf = (tokens, temperature) =>
  (temperature * cloudSpread(attended(tokens, "pre-norm")) ** 2) / 2;

/** The particles over depth: computed as far as asked, and kept until a layer changes. */
function particleFlow() {
  let [kept, states, spreads] = ["", [], []];
  return (tokens, update, depth) => {
    const key = JSON.stringify([tokens, update]);
    if (key !== kept) [kept, states, spreads] = [key, [tokens], []];
    while (states.length <= depth) states.push(attentionLayer(states.at(-1), update));
    const seen = (layer) => attended(states[layer], update.scheme);
    while (spreads.length <= depth) spreads.push(cloudSpread(seen(spreads.length)));
    const relative = spreads.slice(0, depth + 1).map((spread) => spread / spreads[0]);
    return { start: seen(0), particles: seen(depth), spreads: relative };
  };
}

/** Slope −d ln δ / d ln t over the second half of the layers, or null where there is none. */
export function slopeOf(spreads, step) {
  const last = spreads.length - 1;
  const middle = Math.floor(last / 2);
  if (last === 0 || spreads[last] < ROUNDING) return null;
  const octaves = Math.log((1 + step * last) / (1 + step * middle));
  return Math.log(spreads[middle] / spreads[last]) / octaves;
}

/** Everything the panels draw, computed once per redraw from the traits. */
function viewOf(traits, flow) {
  requireDrawable(traits);
  const { scheme, depth, frames, tokens, temperature, max_depth } = traits;
  const update = updateOf(traits);
  const moved = flow(tokens, { ...update, temperature }, depth);
  const sharpness = sharpnessOf(tokens, temperature);
  const reach = scheme === "shrinking-step" ? depth : max_depth;
  const law = responseLaw({ ...update, sharpness }, reach);
  const dilutedFrames = traits.dilution_frames / traits.other_weight;
  return {
    ...moved,
    depth,
    frames,
    scheme,
    law,
    dilutedFrames,
    step: traits.step,
    surface: { initialSharpness: [sharpness], dilutionFrames: dilutedFrames, step: traits.step },
    limits: { depth: max_depth, frames: traits.max_frames },
    matchShare: update.matchShare,
    exponent: collapseExponent({ dilutionFrames: dilutedFrames }, frames),
    slope: slopeOf(moved.spreads, update.step),
    powerLaw: POWER_LAWS.includes(scheme),
  };
}

/** The numbers of the particles, the law beside them, and a sentence that is read aloud. */
function readouts() {
  const { list, cells } = readoutList(READOUTS.map(({ label }) => label), ["now", "start"]);
  READOUTS.forEach(({ particles }, index) =>
    cells[index].now.classList.toggle("particles-number", Boolean(particles)),
  );
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "collapse-surface-readouts" }, list, sentence);

  function draw(view) {
    const shown = {
      ...view,
      spread: view.spreads[view.depth],
      law: view.law[view.depth],
    };
    READOUTS.forEach(({ key, show, beside, note }, index) => {
      const { now, start } = cells[index];
      now.textContent = show(shown[key]);
      start.textContent = note ?? besideText(shown, beside, show);
    });
    sentence.setAttribute("aria-live", view.playing ? "off" : "polite");
    sentence.textContent = sentenceOn(shown);
    for (const key of ["spread", "law", "slope", "exponent", "matchShare", "dilutedFrames"]) {
      sentence.dataset[key] = JSON.stringify(shown[key]);
    }
  }
  return { content, draw, forget: () => {} };
}

function besideText(shown, beside, show) {
  if (beside === "exponent" && !shown.powerLaw) return "no power law";
  return `${beside === "law" ? "law" : "exponent p"}: ${show(shown[beside])}`;
}

const sentenceOn = ({ scheme, depth, frames, spread, law, dilutedFrames }) =>
  `${counted(depth, "layer")}, ${SCHEMES.find(([name]) => name === scheme)[1]}, ` +
  `${counted(frames, "frame")} (${significant(frames / dilutedFrames)} times S∗/f): the particles ` +
  `keep ${percent(spread)} of their spread; the law says ${percent(law)}.`;

function build({ model, link }) {
  const flow = particleFlow();
  const controls = collapseControls(model, link, () => draw());
  const parts = [
    readouts(),
    spherePanel(),
    decayPanel(),
    exponentPanel(controls.move, () => model.save_changes()),
  ];
  const grid = element("div", { class: "collapse-surface-grid" });
  grid.append(controls.content, ...parts.map((part) => part.content));
  const content = element("div", {}, grid);
  if (recorded(readTraits(model))) {
    parts.push(recordedPanel(model));
    content.append(parts.at(-1).content);
  }
  function draw() {
    controls.refresh();
    const view = { ...viewOf(readTraits(model), flow), playing: controls.playing() };
    for (const part of parts) part.draw(view);
  }
  return {
    content,
    draw,
    forget: () => parts.forEach((part) => part.forget()),
    dispose() {
      controls.dispose();
      parts.forEach((part) => part.dispose?.());
    },
  };
}

export default defineWidget({
  className: "collapse-surface",
  redrawOn: TRAITS,
  addressKeys: (model) => (recorded(readTraits(model)) ? [...ADDRESS, "quantity"] : ADDRESS),
  check: (model, given) => requireDrawable({ ...readTraits(model), ...given }),
  build,
});
