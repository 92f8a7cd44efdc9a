// Arrays in few bits, as quantisation.py writes them.

const SHARE_LEVELS = 255;

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Coordinates of points on the grid from `lower` with `step`, three for each point. */
export function decodePoints(text, lower, step) {
  const bytes = bytesOf(text);
  const points = new Float64Array(bytes.length / 2);
  points.forEach((_, index) => {
    points[index] = lower[index % 3] + step * (bytes[2 * index] + 256 * bytes[2 * index + 1]);
  });
  return points;
}

/** Numbers from 0 to 1. */
export const decodeShares = (text) =>
  Float64Array.from(bytesOf(text), (code) => code / SHARE_LEVELS);
