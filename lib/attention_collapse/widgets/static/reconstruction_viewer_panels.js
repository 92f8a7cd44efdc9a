// The two pictures of the scene, predicted and true, seen from the same place.

const RAMPS = { share: ["--below-2", "--below-1", "--above-1", "--above-2"] };
const ERROR_QUANTILE = 0.95; // the colour of larger errors is the last one

/** Points and what their colours need, read from the model once. */
function sceneOf(model) {
  const decode = (name) => decodePoints(model.get(name), model.get("lower"), model.get("step"));
  const [points, truth] = [decode("points"), decode("true_points")];
  const errors = truth.length ? pointErrors(points, truth) : null;
  return {
    clouds: { predicted: points, true: truth },
    cameras: { predicted: model.get("cameras"), true: model.get("true_cameras") },
    image: decodeShares(model.get("colours")),
    confidence: decodeShares(model.get("confidence")),
    errors,
    largest: errors ? quantile(errors, ERROR_QUANTILE) || 1 : 1,
    median: errors ? quantile(errors, 0.5) : NaN,
  };
}

/** Three bytes for the colour of every point. */
function pointColours({ image, confidence, errors, largest }, colouring, stops) {
  if (colouring === "image") return Uint8Array.from(image, (share) => SHARE_LEVELS * share);
  if (colouring === "confidence") return rampBytes(confidence, stops);
  return rampBytes(errors.map((error) => error / largest), stops);
}

function cloudPanel({ name, letter, title, hint }) {
  const canvas = element("canvas", { role: "img" });
  const { content } = panel({ name, letter, title, hint, plot: [canvas] });
  let size = null;

  function draw({ scene, view, shown, colours, strokes }) {
    content.hidden = ![name, "both"].includes(shown);
    if (content.hidden) return;
    size ??= fitCanvas(canvas);
    const { width, height, density } = size;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const seenFrom = { ...view, width, height };
    const context = canvas.getContext("2d");
    paintPoints(context, projectPoints(scene.clouds[name], seenFrom), colours, seenFrom);
    for (const each of name === "true" ? ["true"] : ["true", "predicted"]) {
      drawCameras(context, scene.cameras[each], seenFrom, strokes[each], density);
    }
    canvas.setAttribute("aria-label", describeCloud(name, scene, view));
  }
  return { content, draw, forget: () => (size = null) };
}

function describeCloud(name, { clouds, cameras }, view) {
  const parts = [counted(clouds[name].length / 3, `${name} point`)];
  if (cameras[name].length) parts.push(counted(cameras[name].length, "camera"));
  return `${parts.join(" and ")}, ${describeView(view)}`;
}

function describeView({ azimuth, elevation, zoom }) {
  const side = azimuth < 0 ? "left" : "right";
  const level = elevation < 0 ? "below" : "above";
  return (
    `seen from ${Math.abs(Math.round(azimuth))}° to the ${side} and ` +
    `${Math.abs(Math.round(elevation))}° ${level}, at zoom ${zoom.toFixed(2)}`
  );
}
