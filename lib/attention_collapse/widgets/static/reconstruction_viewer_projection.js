// Where points of space appear to a reader who looks at the origin, and how far predictions err.

const FOCAL = 1.3; // of the shorter side of the picture
const DISTANCE = 2.6; // from the origin at zoom 1
const NEAREST = 0.05;

/** Axes of the view, to the right, up and to the reader, who is at angles in degrees. */
export function viewAxes(azimuth, elevation) {
  const [turn, tilt] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
  const [ct, st, ce, se] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
  return [
    [ct, 0, -st],
    [-st * se, ce, -ct * se],
    [st * ce, se, ct * ce],
  ];
}

/** Pixel coordinates and distance of points; behind the reader all three are NaN. */
export function projectPoints(points, { azimuth, elevation, zoom, width, height }) {
  const [right, up, back] = viewAxes(azimuth, elevation);
  const [distance, focal] = [DISTANCE / zoom, FOCAL * Math.min(width, height)];
  const seen = new Float64Array(points.length);
  for (let at = 0; at < points.length; at += 3) {
    const [x, y, z] = [points[at], points[at + 1], points[at + 2]];
    const depth = distance - (back[0] * x + back[1] * y + back[2] * z);
    const scale = depth > NEAREST ? focal / depth : NaN;
    seen[at] = width / 2 + scale * (right[0] * x + right[1] * y + right[2] * z);
    seen[at + 1] = height / 2 - scale * (up[0] * x + up[1] * y + up[2] * z);
    seen[at + 2] = depth > NEAREST ? depth : NaN;
  }
  return seen;
}

/** Distance of every predicted point to the true one. */
export function pointErrors(points, truth) {
  return Float64Array.from({ length: points.length / 3 }, (_, index) =>
    Math.hypot(...[0, 1, 2].map((axis) => points[3 * index + axis] - truth[3 * index + axis])),
  );
}

/** Quantile by linear interpolation between the sorted values. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}
