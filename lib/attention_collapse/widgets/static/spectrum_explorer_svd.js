// Singular values of a square matrix, all of them, to rounding of the largest: Householder
// reflections to bidiagonal form, then the implicit QL iteration on the symmetric tridiagonal
// matrix of Golub and Kahan, whose eigenvalues are plus and minus the singular values.

/** Singular values of a square matrix, given as rows, descending. */
export function matrixSingularValues(rows) {
  const { diagonal, above } = bidiagonal(rows.map((row) => Float64Array.from(row)));
  const count = diagonal.length;
  const coupling = new Float64Array(2 * count);
  diagonal.forEach((entry, index) => {
    coupling[2 * index] = entry;
    coupling[2 * index + 1] = above[index];
  });
  const eigenvalues = tridiagonalEigenvalues(new Float64Array(2 * count), coupling);
  return Array.from(eigenvalues.sort().reverse().subarray(0, count), (value) => Math.max(value, 0));
}

/** Diagonals of a bidiagonal matrix with the singular values of `rows`, which are overwritten. */
function bidiagonal(rows) {
  const count = rows.length;
  const [diagonal, above] = [new Float64Array(count), new Float64Array(count)];
  for (let index = 0; index < count; index++) {
    const below = rows.slice(index);
    const column = Float64Array.from(below, (row) => row[index]);
    diagonal[index] = reflector(column, (factor) => {
      reflectColumns(below, index + 1, column, factor);
    });
    const [pivotRow, ...others] = below;
    const row = pivotRow.slice(index + 1);
    above[index] = reflector(row, (factor) => reflectRows(others, index + 1, row, factor));
  }
  return { diagonal, above };
}

/**
 * Turn `vector` into the v for which I − factor·v·vᵀ maps it to a multiple of the first axis, hand
 * the factor to `apply` and return the multiple.
 */
function reflector(vector, apply) {
  let square = 0;
  for (const entry of vector) square += entry * entry;
  if (square === 0) return 0;
  const norm = Math.sqrt(square);
  const image = vector[0] > 0 ? -norm : norm;
  const factor = 1 / (square + norm * Math.abs(vector[0]));
  vector[0] -= image;
  apply(factor);
  return image;
}

/** Apply a reflection from the left, to the columns from `start` on. */
function reflectColumns(rows, start, vector, factor) {
  const width = rows[0].length;
  const projection = new Float64Array(width);
  for (let index = 0; index < rows.length; index++) {
    const [row, weight] = [rows[index], factor * vector[index]];
    for (let column = start; column < width; column++) projection[column] += weight * row[column];
  }
  for (let index = 0; index < rows.length; index++) {
    const [row, weight] = [rows[index], vector[index]];
    for (let column = start; column < width; column++) row[column] -= weight * projection[column];
  }
}

/** Apply a reflection from the right, to the columns from `start` on. */
function reflectRows(rows, start, vector, factor) {
  for (const row of rows) {
    let projection = 0;
    for (let index = 0; index < vector.length; index++) {
      projection += row[start + index] * vector[index];
    }
    const weight = factor * projection;
    for (let index = 0; index < vector.length; index++) {
      row[start + index] -= weight * vector[index];
    }
  }
}

/** Eigenvalues of a symmetric tridiagonal matrix; entry i of `coupling` ties i to i + 1. */
function tridiagonalEigenvalues(diagonal, coupling) {
  const last = diagonal.length - 1;
  const negligible = Number.EPSILON * Math.max(...coupling.map(Math.abs));
  for (let start = 0; start < last; start++) {
    for (;;) {
      let end = start;
      while (end < last && Math.abs(coupling[end]) > negligible) end++;
      if (end === start) break;
      chase(diagonal, coupling, start, end);
    }
  }
  return diagonal;
}

/** One implicit QL sweep from `end` to `start`, with Wilkinson's shift. */
function chase(diagonal, coupling, start, end) {
  const half = (diagonal[start + 1] - diagonal[start]) / (2 * coupling[start]);
  const root = Math.sqrt(half * half + 1);
  const correction = coupling[start] / (half + (half >= 0 ? root : -root));
  let bulge = diagonal[end] - diagonal[start] + correction;
  let [sine, cosine, shift] = [1, 1, 0];
  for (let index = end - 1; index >= start; index--) {
    const [off, on] = [sine * coupling[index], cosine * coupling[index]];
    const radius = Math.sqrt(off * off + bulge * bulge);
    coupling[index + 1] = radius;
    if (radius === 0) {
      diagonal[index + 1] -= shift;
      coupling[end] = 0;
      return;
    }
    [sine, cosine] = [off / radius, bulge / radius];
    const moved = diagonal[index + 1] - shift;
    const turned = (diagonal[index] - moved) * sine + 2 * cosine * on;
    shift = sine * turned;
    diagonal[index + 1] = moved + shift;
    bulge = cosine * turned - on;
  }
  diagonal[start] -= shift;
  coupling[start] = bulge;
  coupling[end] = 0;
}
