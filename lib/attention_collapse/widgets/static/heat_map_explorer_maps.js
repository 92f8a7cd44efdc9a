// One recorded map of attention: its weights from 8 bits, and its numbers.

/** Weights of a map, frames × rows × columns in a row, from the roots of its shares. */
export function decodeMap(codes, peaks, number, size) {
  return Array.from(
    codes.slice(number * size, (number + 1) * size),
    (code) => peaks[number] * (code / SHARE_LEVELS) ** 2,
  );
}

const totalOf = (values) => values.reduce((total, value) => total + value, 0);

/** Correlation of two maps over their patches. */
export function correlation(first, second) {
  const [a, b] = [first, second].map((map) => {
    const mean = totalOf(map) / map.length;
    return map.map((weight) => weight - mean);
  });
  const product = (x, y) => totalOf(x.map((value, index) => value * y[index]));
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b));
}

/** Mass on the patches of every frame shown, on other tokens, and the peak over a uniform weight. */
export function mapStatistics(weights, patches, tokens) {
  const masses = Array.from({ length: weights.length / patches }, (_, frame) =>
    totalOf(weights.slice(frame * patches, (frame + 1) * patches)),
  );
  return { masses, elsewhere: 1 - totalOf(masses), peak: Math.max(...weights) * tokens };
}
