// Depth and frames in one law: attention_collapse.theory.collapse_surface and .spectrum, for the
// page. A surface is { initialSharpness: [a_k0, …], dilutionFrames: S_*, step: τ }.

export const SHARPNESS_LIMIT = Math.SQRT1_2;

const sum = (values) => values.reduce((total, value) => total + value, 0);
const product = (values) => values.reduce((total, value) => total * value, 1);

/** Refuse a surface, a depth or a number of frames for which the law has no value. */
export function requireOnSurface({ initialSharpness, dilutionFrames, step }, depth, frames) {
  requireThat(initialSharpness.length > 0, "sharpness needs at least one direction");
  for (const sharpness of initialSharpness) {
    requireThat(
      sharpness >= 0 && sharpness < SHARPNESS_LIMIT,
      `sharpness must be at least 0 and below 1/√2 ≈ 0.707; got ${sharpness}`,
    );
  }
  requireThat(dilutionFrames > 0, `dilution frames S* must be positive; got ${dilutionFrames}`);
  requireThat(step > 0, `step τ must be positive; got ${step}`);
  requireThat(depth >= 0, `depth must be at least 0 layers; got ${depth}`);
  requireThat(frames >= 1, `frames must be at least 1; got ${frames}`);
}

/** Depth time t = 1 + τ L. */
export const depthTime = ({ step }, depth) => 1 + step * depth;

/** Share p = S / (S + S_*) of attention off the matches: the tail exponent 1 − λ₂. */
export const collapseExponent = ({ dilutionFrames }, frames) => frames / (frames + dilutionFrames);

/** Variance u_k per direction at f = t^(−2p), relative to depth zero. */
const logistic = ({ initialSharpness }, remaining) =>
  initialSharpness.map((sharpness) => remaining / (1 - sharpness + sharpness * remaining));

export function relativeVariance(surface, depth, frames) {
  const exponent = collapseExponent(surface, frames);
  return logistic(surface, depthTime(surface, depth) ** (-2 * exponent));
}

/** Sharpness a_k = a_k0 u_k per direction. */
export function sharpnessAt(surface, depth, frames) {
  const variance = relativeVariance(surface, depth, frames);
  return surface.initialSharpness.map((sharpness, direction) => sharpness * variance[direction]);
}

/** Distance to the Dirac relative to its start. It depends on p ln t alone. */
export function spreadAfter(surface, logarithmicTime) {
  const variance = logistic(surface, Math.exp(-2 * logarithmicTime));
  return Math.sqrt(sum(variance) / variance.length);
}

/** Distance to the Dirac relative to its start, at a depth and a number of frames. */
export function spread(surface, depth, frames) {
  const exponent = collapseExponent(surface, frames);
  return spreadAfter(surface, exponent * Math.log(depthTime(surface, depth)));
}

/** The p ln t at which the spread has fallen to `level`, by bisection. */
export function logarithmicTimeOf(surface, level) {
  let [low, high] = [0, 1];
  while (spreadAfter(surface, high) > level) high *= 2;
  for (let halving = 0; halving < 50; halving++) {
    const middle = (low + high) / 2;
    if (spreadAfter(surface, middle) > level) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Ratio q of consecutive singular values along a direction of sharpness a. */
export function decayRatio(sharpness) {
  const margin = (1 - Math.SQRT2 * sharpness) * (1 + Math.SQRT2 * sharpness);
  return (2 * sharpness) / (Math.sqrt(1 + 2 * sharpness ** 2) + Math.sqrt(margin));
}

/**
 * The `count` largest singular values of attention, divided by the first, descending.
 *
 * Of the products of two descending lists, at least (i + 1)(j + 1) are not below that of the
 * entries i and j: later ones need not be formed.
 */
export function singularValues(sharpness, count) {
  let values = [1];
  for (const ratio of sharpness.map(decayRatio)) {
    const powers = Array.from({ length: count }, (_, power) => ratio ** power);
    values = values.flatMap((value, index) =>
      powers.slice(0, Math.floor(count / (index + 1))).map((power) => value * power),
    );
    values = values.sort((a, b) => b - a).slice(0, count);
  }
  return values;
}

/** Entropy h(q) = −ln(1 − q) − q ln q / (1 − q) of a geometric profile, in nats. */
function geometricEntropy(ratio) {
  return ratio === 0 ? 0 : -Math.log1p(-ratio) - (ratio * Math.log(ratio)) / (1 - ratio);
}

/** Rank profile of attention between Gaussian tokens, with the `count` largest singular values. */
function gaussianProfile(sharpness, count) {
  const ratios = sharpness.map(decayRatio);
  return {
    singularValues: singularValues(sharpness, count),
    singularRatio: Math.max(...ratios),
    effectiveRank: Math.exp(sum(ratios.map(geometricEntropy))),
    stableRank: product(ratios.map((ratio) => 1 / (1 - ratio ** 2))),
    entropyDeficit: sum(sharpness.map((value) => value ** 2)) / 2,
  };
}

/** Rank of attention at one depth and one number of frames. */
export const rankProfile = (surface, depth, frames, count = 32) =>
  gaussianProfile(sharpnessAt(surface, depth, frames), count);

/** Attention among probe tokens: rows softmax_j of Σ_k a_k z_ik z_jk. */
export function probeAttention(sharpness, probes) {
  const score = (query, key) => sum(sharpness.map((value, k) => value * query[k] * key[k]));
  return probes.map((query) => {
    const weights = probes.map((key) => Math.exp(score(query, key)));
    const total = sum(weights);
    return weights.map((weight) => weight / total);
  });
}
