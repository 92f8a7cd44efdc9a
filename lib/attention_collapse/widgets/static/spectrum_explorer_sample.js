// A finite sample of tokens, drawn in the page: its attention matrix and the ranks of that matrix.

/** Uniform numbers in [0, 1) from a seed: the generator mulberry32. */
function uniformNumbers(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rows of independent normal numbers (Box and Muller); the first rows do not depend on `count`. */
function normalRows(count, width, seed) {
  const uniform = uniformNumbers(seed);
  const numbers = [];
  while (numbers.length < count * width) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    numbers.push(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  return Array.from({ length: count }, (_, row) => numbers.slice(row * width, (row + 1) * width));
}

/** Tokens of a law whose scores are plain scalar products, in the order of the drawn matrix. */
export const samplePoints = (law, count, seed) =>
  law.name === "sphere" ? sphericalPoints(law, count, seed) : gaussianPoints(law, count, seed);

/** √a_k z_k, sorted along the sharpest direction. A direction of sharpness 0 changes no token. */
function gaussianPoints({ sharpness }, count, seed) {
  const sharpest = sharpness.indexOf(Math.max(...sharpness));
  const deviations = normalRows(count, MAX_DIRECTIONS, seed);
  return sortedBy(deviations, (deviation) => deviation[sharpest]).map((deviation) =>
    sharpness.map((value, direction) => Math.sqrt(value) * deviation[direction]),
  );
}

/** √κ u, u uniform on the sphere, sorted around the circle or else along the first axis. */
function sphericalPoints({ concentration, dimension }, count, seed) {
  const directions = normalRows(count, dimension, seed).map((row) => {
    const norm = Math.sqrt(sum(row.map((entry) => entry ** 2)));
    return row.map((entry) => entry / norm);
  });
  const place = dimension === 2 ? ([x, y]) => Math.atan2(y, x) : ([x]) => x;
  const scale = Math.sqrt(concentration);
  return sortedBy(directions, place).map((row) => row.map((entry) => scale * entry));
}

const sortedBy = (rows, place) => [...rows].sort((a, b) => place(a) - place(b));

/** Attention among points: rows softmax_j of the scalar product of i and j. */
export function attentionAmong(points) {
  return points.map((query) => {
    const scores = points.map((key) =>
      query.reduce((score, entry, k) => score + entry * key[k], 0),
    );
    const largest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = sum(weights);
    return weights.map((weight) => weight / total);
  });
}

/** Rank profile of a matrix of attention, with all its singular values relative to the first. */
export function matrixProfile(attention) {
  const found = matrixSingularValues(attention);
  const values = found.map((value) => value / found[0]);
  const total = sum(values);
  const rowEntropies = attention.map((row) => sum(row.map(surprise)));
  return {
    singularValues: values,
    singularRatio: values[1],
    effectiveRank: Math.exp(sum(values.map((value) => surprise(value / total)))),
    stableRank: sum(values.map((value) => value ** 2)),
    entropyDeficit: Math.log(attention.length) - sum(rowEntropies) / attention.length,
  };
}
