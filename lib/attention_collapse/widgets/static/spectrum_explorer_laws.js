// The spectrum of attention in closed form: attention_collapse.theory.spectrum, for the page. A law
// is { name: "gaussian" | "sphere", sharpness: [a_k, …], concentration: κ, dimension: d }.

const MAX_CONCENTRATION = 12;
const DIMENSIONS = [2, 3, 4, 8];
const MAX_DIRECTIONS = 3;
const ORDERS = 96; // of spherical harmonics: at κ = 12 those beyond carry less than 1e-60

/** Sharpness 1/√6: from here on the squared weights of one sampled key have infinite variance. */
export const FLUCTUATION_LIMIT = Math.sqrt(1 / 6);

/** Refuse a law for which the closed form has no value or the page no control. */
function requireLaw({ name, sharpness, concentration, dimension }) {
  requireThat(["gaussian", "sphere"].includes(name), `law must be gaussian or sphere; got ${name}`);
  requireThat(
    sharpness.length >= 1 && sharpness.length <= MAX_DIRECTIONS,
    `sharpness must have 1 to ${MAX_DIRECTIONS} directions; got ${sharpness.length}`,
  );
  for (const value of sharpness) {
    requireThat(
      value >= 0 && value < SHARPNESS_LIMIT,
      `sharpness must be at least 0 and below 1/√2 ≈ 0.707; got ${value}`,
    );
  }
  requireThat(
    concentration >= 0 && concentration <= MAX_CONCENTRATION,
    `concentration κ must be at least 0 and at most ${MAX_CONCENTRATION}; got ${concentration}`,
  );
  requireThat(
    DIMENSIONS.includes(dimension),
    `dimension must be one of ${DIMENSIONS.join(", ")}; got ${dimension}`,
  );
}

/** Rank profile of a law, with the `count` largest singular values relative to the first. */
export const closedProfile = (law, count) =>
  law.name === "sphere" ? sphericalProfile(law, count) : gaussianProfile(law.sharpness, count);

/** Ratios I_{ν+n+1}(κ) / I_{ν+n}(κ) for n = 0, 1, …, ν = d/2 − 1, by backward recurrence. */
export function besselRatios(concentration, dimension) {
  const ratios = new Array(ORDERS);
  let ratio = 0;
  for (let order = ORDERS - 1; order >= 0; order--) {
    ratio = 1 / ((2 * order + dimension) / concentration + ratio);
    ratios[order] = ratio;
  }
  return ratios;
}

/** Dimension of the spherical harmonics of one order: how often a singular value occurs. */
export function harmonicDimension(order, dimension) {
  if (order === 0) return 1;
  let harmonics = (2 * order + dimension - 2) / (order + dimension - 2);
  for (let factor = 1; factor <= dimension - 2; factor++) harmonics *= (order + factor) / factor;
  return Math.round(harmonics);
}

function sphericalProfile({ concentration, dimension }, count) {
  const ratios = besselRatios(concentration, dimension);
  const levels = [{ value: 1, multiplicity: 1 }];
  ratios.forEach((ratio, order) => {
    const multiplicity = harmonicDimension(order + 1, dimension);
    levels.push({ value: levels[order].value * ratio, multiplicity });
  });
  const total = sum(levels.map(({ value, multiplicity }) => multiplicity * value));
  const entropies = levels.map(({ value, multiplicity }) => multiplicity * surprise(value / total));
  return {
    singularValues: levels
      .flatMap(({ value, multiplicity }) => new Array(Math.min(multiplicity, count)).fill(value))
      .slice(0, count),
    singularRatio: ratios[0],
    effectiveRank: Math.exp(sum(entropies)),
    stableRank: sum(levels.map(({ value, multiplicity }) => multiplicity * value ** 2)),
    entropyDeficit: concentration * ratios[0] - logarithmicMass(concentration, dimension),
  };
}

/** −s ln s, and 0 at 0. */
const surprise = (share) => (share > 0 ? -share * Math.log(share) : 0);

/** ln of the mean of e^{κ u·w} over the sphere, from its positive series 0F1(d/2; κ²/4). */
function logarithmicMass(concentration, dimension) {
  let [term, mass] = [1, 1];
  for (let power = 0; power < ORDERS; power++) {
    term *= concentration ** 2 / 4 / ((power + 1) * (power + dimension / 2));
    mass += term;
  }
  return Math.log(mass);
}

/** Exponent by which ‖A‖² of a sample approaches the closed form as tokens are added. */
export function fluctuationExponent({ name, sharpness }) {
  const square = name === "gaussian" ? Math.max(...sharpness) ** 2 : 0;
  return Math.min(0.5, (1 - 2 * square) / (1 + 2 * square));
}
