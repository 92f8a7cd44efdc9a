// One layer of attention in each architecture: attention_collapse.theory.layers, for the page.

function dot(a, b) {
  let total = 0;
  for (let axis = 0; axis < a.length; axis++) total += a[axis] * b[axis];
  return total;
}

const scaled = (vector, factor) => vector.map((entry) => factor * entry);
const mixed = (a, x, b, y) => x.map((entry, axis) => a * entry + b * y[axis]);
const normalised = (tokens) => tokens.map((token) => scaled(token, 1 / Math.hypot(...token)));

/** What a layer makes of a token x and the output y of its attention. */
const UPDATES = {
  pure: (x, y) => y,
  averaging: (x, y, step) => mixed(1 - step, x, step, y),
  "post-norm": (x, y, step) => normalised([mixed(1, x, step, y)])[0],
  "pre-norm": (x, y, step) => mixed(1, x, step, y),
};

/** Factor on a deviation of which attention returns the fraction g; r is the norm of the tokens. */
const FACTORS = {
  pure: (g) => g,
  averaging: (g, step) => 1 - step + step * g,
  "post-norm": (g, step) => (1 + step * g) / (1 + step),
  "pre-norm": (g, step, r) => (r + step * g) / (r + step),
};

/** Layers whose scores are cosines. */
const NORMALISED = ["pre-norm", "post-norm"];

/** What attention reads: the directions of the tokens under pre-norm, else the tokens. */
export const attended = (tokens, scheme) => (scheme === "pre-norm" ? normalised(tokens) : tokens);

/**
 * Averages of the keys, one for each query, with weights softmax_j of β y_i · y_j. Four hundred
 * layers between two frames of an animation: scores are symmetric, so each is taken once, and the
 * loops make no arrays. A constant taken from all scores changes no weight and prevents overflow.
 */
function contentAverages(keys, temperature) {
  const largest = temperature * Math.max(...keys.map((key) => dot(key, key)));
  const sums = keys.map((key) => scaled(key, 0));
  const totals = new Float64Array(keys.length);
  const add = (query, key, weight) => {
    const [sum, from] = [sums[query], keys[key]];
    for (let axis = 0; axis < from.length; axis++) sum[axis] += weight * from[axis];
    totals[query] += weight;
  };
  for (let query = 0; query < keys.length; query++) {
    for (let key = 0; key <= query; key++) {
      const weight = Math.exp(temperature * dot(keys[query], keys[key]) - largest);
      add(query, key, weight);
      if (key < query) add(key, query, weight);
    }
  }
  return sums.map((sum, query) => scaled(sum, 1 / totals[query]));
}

/** Tokens after one layer in which each keeps the share λ₂ of its attention on itself. */
export function attentionLayer(tokens, { scheme, step, temperature, matchShare }) {
  const seen = attended(tokens, scheme);
  const content = contentAverages(seen, temperature);
  return tokens.map((token, index) => {
    const output = mixed(matchShare, seen[index], 1 - matchShare, content[index]);
    return UPDATES[scheme](token, output, step);
  });
}

/** Root of the trace of the covariance. */
export function cloudSpread(tokens) {
  const mean = tokens[0].map((_, axis) => tokens.reduce((sum, x) => sum + x[axis], 0) / tokens.length);
  const deviations = tokens.map((token) => mixed(1, token, -1, mean));
  return Math.sqrt(deviations.reduce((sum, each) => sum + dot(each, each), 0) / tokens.length);
}

/**
 * Spread after 0, 1, …, `layers` layers relative to its start: `response_law` for one direction and
 * the scores of `attentionLayer`, which are cosines under pre-norm and post-norm.
 */
export function responseLaw({ scheme, step, sharpness, matchShare }, layers) {
  const spreads = [1];
  for (let layer = 0; layer < layers; layer++) {
    const present = spreads[layer];
    const flat = sharpness * present ** 2;
    const content = NORMALISED.includes(scheme) ? flat / (1 + flat) : flat;
    const returned = matchShare + (1 - matchShare) * content;
    spreads.push(present * FACTORS[scheme](returned, step, 1 + layer * step));
  }
  return spreads;
}
