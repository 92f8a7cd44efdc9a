// The spectrum explorer: the closed form of the rank profile beside a sample drawn in the page.

const ADDRESS = ["law", "sharpness", "concentration", "dimension", "tokens", "seed"];
const RAMPS = { contrast: ["--below-2", "--below-1", "--uniform", "--above-1", "--above-2"] };
const QUICK = 128; // tokens up to which a sample is measured while a slider moves
const REST = 150; // ms without a change after which a larger sample is measured

const READOUTS = [
  { key: "singularRatio", label: "σ₂/σ₁" },
  { key: "effectiveRank", label: "effective rank" },
  { key: "stableRank", label: "stable rank" },
  { key: "entropyDeficit", label: "entropy deficit (nats)" },
];

/** A number with enough digits to tell a sample from the closed form. */
const shown = (value) => value.toFixed(value < 10 ? 3 : value < 100 ? 1 : 0);

const readTraits = (model) => Object.fromEntries(ADDRESS.map((name) => [name, model.get(name)]));

const lawOf = ({ law, sharpness, concentration, dimension }) => ({
  name: law,
  sharpness,
  concentration,
  dimension,
});

/** Refuse traits outside the law or off the sliders. */
function requireDrawable(traits) {
  const { tokens, seed } = traits;
  requireLaw(lawOf(traits));
  requireThat(
    Number.isInteger(tokens) && tokens >= MIN_TOKENS && tokens <= MAX_TOKENS,
    `tokens must be a whole number from ${MIN_TOKENS} to ${MAX_TOKENS}; got ${tokens}`,
  );
  requireThat(
    Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32,
    `seed must be a whole number from 0 to 2³² − 1; got ${seed}`,
  );
}

/** What the page measures of a sample. */
export function measuredSample(law, tokens, seed) {
  const attention = attentionAmong(samplePoints(law, tokens, seed));
  return { attention, profile: matrixProfile(attention) };
}

/**
 * The sample of a state. A large one is measured once the reader rests: until then the one before
 * stands, marked as stale, and `renew` is called when the new one is there.
 */
function sampler(renew) {
  let [kept, timer] = [null, 0];
  const measure = (key, state) => {
    kept = { key, ...measuredSample(...state), stale: false };
  };
  function at(...state) {
    const [law, tokens] = state;
    const key = JSON.stringify(state);
    clearTimeout(timer);
    if (kept?.key === key) return kept;
    if (kept && tokens > QUICK) {
      timer = setTimeout(() => {
        measure(key, state);
        renew();
      }, REST);
      return { ...kept, stale: true };
    }
    measure(key, state);
    return kept;
  }
  return { at, dispose: () => clearTimeout(timer) };
}

/** The ranks in closed form and of the sample, what limits the closed form, and a sentence. */
function readouts() {
  const { list, cells } = readoutList(READOUTS.map(({ label }) => label), ["now", "measured"]);
  const limits = element("div", { class: "spectrum-explorer-limits" });
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "spectrum-explorer-readouts" }, list, limits, sentence);

  function draw({ law, tokens, closed, sample }) {
    READOUTS.forEach(({ key }, index) => {
      const value = element("span", {}, legendMarker(0), shown(sample.profile[key]));
      cells[index].now.textContent = shown(closed[key]);
      cells[index].measured.replaceChildren(value);
    });
    list.classList.toggle("stale", sample.stale);
    limits.replaceChildren(...limitsOf(law));
    limits.classList.toggle("heavy", fluctuationExponent(law) < 0.5);
    if (sample.stale) return;
    sentence.textContent = sentenceOn(tokens, closed, sample.profile);
    sentence.dataset.closed = JSON.stringify(closed);
    sentence.dataset.sample = JSON.stringify(sample.profile);
  }
  return { content, draw, forget: () => {} };
}

/** How a sample fluctuates, and where the closed form ends. */
function limitsOf(law) {
  const exponent = fluctuationExponent(law);
  const rate = ["shrink like N", element("sup", {}, `−${exponent.toFixed(2)}`)];
  const light = ["The fluctuations of the stable rank over samples ", ...rate, ". "];
  if (law.name === "sphere") {
    return [...light, "Scores stay between −κ and κ: the closed form exists for every κ."];
  }
  const heavy = [
    "Sharpness above 1/√6 ≈ 0.41: over many tokens the fluctuations of the stable rank have " +
      "infinite variance and ",
    ...rate,
    " only. ",
  ];
  const end = "At 1/√2 ≈ 0.71 the closed form ends: from there on it is refused.";
  return [...(exponent < 0.5 ? heavy : light), end];
}

const sentenceOn = (tokens, closed, sample) =>
  `The second singular value is ${shown(closed.singularRatio)} of the first, ` +
  `${shown(sample.singularRatio)} in a sample of ${tokens} tokens; the effective rank is ` +
  `${shown(closed.effectiveRank)}, in the sample ${shown(sample.effectiveRank)}.`;

function build({ model, link }) {
  const controls = spectrumControls(model, link);
  const samples = sampler(() => draw());
  const parts = [readouts(), singularValuesPanel(), sampleAttentionPanel()];
  const content = element("div", { class: "spectrum-explorer-grid" });
  content.append(controls.content, ...parts.map((part) => part.content));
  let palette = null;
  function draw() {
    controls.refresh();
    const traits = readTraits(model);
    requireDrawable(traits);
    const { tokens, seed } = traits;
    const law = lawOf(traits);
    const closed = closedProfile(law, VALUES_COUNTED);
    const sample = samples.at(law, tokens, seed);
    palette ??= resolveRamps(content, RAMPS);
    for (const part of parts) part.draw({ law, tokens, closed, sample, palette });
  }
  function forget() {
    palette = null;
    for (const part of parts) part.forget();
  }
  return { content, draw, forget, dispose: samples.dispose };
}

export default defineWidget({
  className: "spectrum-explorer",
  redrawOn: ADDRESS,
  addressKeys: ADDRESS,
  check: (model, given) => requireDrawable({ ...readTraits(model), ...given }),
  build,
});
