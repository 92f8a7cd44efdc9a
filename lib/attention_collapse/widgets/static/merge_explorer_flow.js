// What merging does to the variance of tokens: the split, its law, and the flow x ← x − τ A x.

const FLOW_STEP = 0.25;
const FLOW_LAYERS = 32;

/** Means of groups as rows, and how many tokens each has. */
function groupMeans(tokens, members) {
  const means = members.map((group) =>
    tokens[0].map((_, k) => group.reduce((total, token) => total + tokens[token][k], 0) / group.length),
  );
  return { means, sizes: members.map((group) => group.length) };
}

/** Covariance of rows with masses. */
function covarianceOf(rows, masses) {
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  const mean = rows[0].map((_, k) => rows.reduce((sum, row, i) => sum + masses[i] * row[k], 0) / total);
  const centred = rows.map((row) => row.map((entry, k) => entry - mean[k]));
  return mean.map((_, j) =>
    mean.map((_, k) => centred.reduce((sum, row, i) => sum + masses[i] * row[j] * row[k], 0) / total),
  );
}

const traceOf = (matrix) => matrix.reduce((total, row, k) => total + row[k], 0);
const squaredSum = (matrix) => matrix.flat().reduce((total, entry) => total + entry ** 2, 0);

/** Outputs of attention among rows, scores plain products, with a mass for every key. */
export function attentionOutputs(rows, masses) {
  const [count, width] = [rows.length, rows[0].length];
  const flat = Float64Array.from(rows.flat());
  const scores = new Float64Array(count);
  return rows.map((query) => {
    let largest = -Infinity;
    for (let key = 0; key < count; key++) {
      let score = 0;
      for (let k = 0; k < width; k++) score += query[k] * flat[key * width + k];
      scores[key] = score;
      if (score > largest) largest = score;
    }
    const output = new Array(width).fill(0);
    let total = 0;
    for (let key = 0; key < count; key++) {
      const weight = masses[key] * Math.exp(scores[key] - largest);
      total += weight;
      for (let k = 0; k < width; k++) output[k] += weight * flat[key * width + k];
    }
    return output.map((entry) => entry / total);
  });
}

/** Rate at which rows with masses contract: trace of the covariance with their outputs. */
function contractionRate(rows, sizes, weights) {
  const outputs = attentionOutputs(rows, weights);
  const joined = rows.map((row, index) => [...row, ...outputs[index]]);
  const covariance = covarianceOf(joined, sizes);
  return rows[0].reduce((total, _, k) => total + covariance[k][k + rows[0].length], 0);
}

/** The variance split, the law of the effective coefficient, and the coefficient as measured. */
export function mergeStatistics(tokens, target, weighting) {
  const members = membersOf(target);
  const { means, sizes } = groupMeans(tokens, members);
  const ones = tokens.map(() => 1);
  const [whole, between] = [covarianceOf(tokens, ones), covarianceOf(means, sizes)];
  const weights = weighting === "size" ? sizes : sizes.map(() => 1);
  return {
    kept: members.length,
    largest: Math.max(...sizes),
    between: traceOf(between) / traceOf(whole),
    predicted: squaredSum(between) / squaredSum(whole),
    measured: contractionRate(means, sizes, weights) / contractionRate(tokens, ones, ones),
  };
}

/** Total variance of merged tokens after every layer of the flow, relative to the start. */
export function flowVariance(tokens, target, weighting) {
  const members = membersOf(target);
  let { means, sizes } = groupMeans(tokens, members);
  const weights = weighting === "size" ? sizes : sizes.map(() => 1);
  const whole = traceOf(covarianceOf(tokens, tokens.map(() => 1)));
  const within = whole - traceOf(covarianceOf(means, sizes));
  const variances = [1];
  for (let layer = 0; layer < FLOW_LAYERS; layer++) {
    const outputs = attentionOutputs(means, weights);
    means = means.map((row, i) => row.map((entry, k) => entry - FLOW_STEP * outputs[i][k]));
    variances.push((within + traceOf(covarianceOf(means, sizes))) / whole);
  }
  return variances;
}

/** The law of the same with sizes: the part within, and Riccati along the axes between. */
export function lawVariance(tokens, target) {
  const { means, sizes } = groupMeans(tokens, membersOf(target));
  const between = covarianceOf(means, sizes);
  const whole = traceOf(covarianceOf(tokens, tokens.map(() => 1)));
  const values = matrixSingularValues(between); // those of a covariance are its eigenvalues
  return Array.from({ length: FLOW_LAYERS + 1 }, (_, layer) => {
    const time = FLOW_STEP * layer;
    const left = values.reduce((total, value) => total + value / (1 + 2 * value * time), 0);
    return (whole - traceOf(between) + left) / whole;
  });
}
