// Points as squares with a depth buffer, and cameras as outlines, on a plain canvas.

const POINT_SIZE = 0.02; // side of a point in units of the viewer
const LARGEST_POINT = 9; // px
const EDGES = [[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]];

/** Fit a canvas to its box in pixels of the screen; returns them and their number to a CSS pixel. */
function fitCanvas(canvas) {
  const box = canvas.parentElement.getBoundingClientRect();
  const density = Math.min(globalThis.devicePixelRatio || 1, 2); // more costs time and shows no more
  const [width, height] = [box.width, box.height].map((side) => Math.max(Math.round(side * density), 16));
  return { width, height, density };
}

/** Paint points, nearer ones over others; `colours` holds three bytes for each. */
function paintPoints(context, seen, colours, { width, height, zoom }) {
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const nearest = new Float32Array(width * height).fill(Infinity);
  const scale = POINT_SIZE * FOCAL * Math.min(width, height);
  for (let at = 0; at < seen.length; at += 3) {
    const depth = seen[at + 2];
    if (Number.isNaN(depth)) continue;
    const side = Math.min(Math.max(Math.round(scale / depth), 1), LARGEST_POINT * Math.max(zoom, 1));
    const colour = (255 << 24) | (colours[at + 2] << 16) | (colours[at + 1] << 8) | colours[at];
    const [left, top] = [seen[at], seen[at + 1]].map((place) => Math.round(place - side / 2));
    const [right, bottom] = [Math.min(left + side, width), Math.min(top + side, height)];
    for (let y = Math.max(top, 0); y < bottom; y++) {
      for (let x = Math.max(left, 0); x < right; x++) {
        if (depth >= nearest[y * width + x]) continue;
        nearest[y * width + x] = depth;
        pixels[y * width + x] = colour;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

/** Draw cameras, the first, to which the others refer, with a wider line. */
function drawCameras(context, cameras, view, colour, density) {
  context.strokeStyle = colour;
  context.lineJoin = "round";
  cameras.forEach((corners, index) => {
    const seen = projectPoints(Float64Array.from(corners.flat()), view);
    context.lineWidth = (index === 0 ? 2.5 : 1.25) * density;
    context.beginPath();
    for (const [from, to] of EDGES) {
      if (Number.isNaN(seen[3 * from] + seen[3 * to])) continue;
      context.moveTo(seen[3 * from], seen[3 * from + 1]);
      context.lineTo(seen[3 * to], seen[3 * to + 1]);
    }
    context.stroke();
  });
}

/** Colours of points, three bytes for each, from shares on a ramp. */
function rampBytes(shares, stops) {
  const bytes = new Uint8ClampedArray(3 * shares.length);
  shares.forEach((share, index) => bytes.set(rampColour(stops, share), 3 * index));
  return bytes;
}
