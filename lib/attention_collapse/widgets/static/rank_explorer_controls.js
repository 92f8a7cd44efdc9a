// The controls of the rank explorer: two sliders, presets, and two more sliders behind "More".

const MAX_LEADING_SHARPNESS = 0.7; // the closed form ends at 1/√2
const MAX_DILUTION_FRAMES = 4096;
const GLIDE = 450; // ms

/** Carries the model to given values; depth and frames glide where motion is welcome. */
function glideOf(model) {
  let frame = 0;
  const stop = () => cancelAnimationFrame(frame);
  function to({ depth = model.get("depth"), frames = model.get("frames"), ...others }) {
    stop();
    assign(model, others);
    const depths = scaleOf([0, 1], [model.get("depth"), depth]);
    const octaves = scaleOf([0, 1], [Math.log2(model.get("frames")), Math.log2(frames)]);
    const duration = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : GLIDE;
    const start = performance.now();
    const advance = (now) => {
      const share = duration ? Math.min(Math.max((now - start) / duration, 0), 1) : 1;
      const eased = share * share * (3 - 2 * share);
      const moved = { depth: depths.position(eased), frames: 2 ** octaves.position(eased) };
      assign(model, { depth: Math.round(moved.depth), frames: Math.round(moved.frames) });
      if (share < 1) frame = requestAnimationFrame(advance);
      else model.save_changes();
    };
    advance(start);
  }
  return { to, stop };
}

function depthSlider(model, move) {
  const maximum = model.get("max_depth");
  return slider({
    model,
    label: ["Depth ", element("i", {}, "L")],
    scale: scaleOf([0, maximum], [0, maximum]),
    step: 1,
    ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * maximum)),
    read: () => model.get("depth"),
    write: (depth) => move({ depth }),
    describe: (depth) => counted(depth, "layer"),
  });
}

function sharpnessSlider(model, move) {
  return slider({
    model,
    label: ["Leading sharpness ", element("i", {}, "a"), element("sub", {}, "1")],
    scale: scaleOf([0, MAX_LEADING_SHARPNESS], [0, MAX_LEADING_SHARPNESS]),
    step: 0.01,
    ticks: [0, 0.2, 0.4, 0.6],
    read: () => model.get("initial_sharpness")[0],
    write: (leading) =>
      move({ initial_sharpness: [leading, ...model.get("initial_sharpness").slice(1)] }),
    describe: (leading) => leading.toFixed(2),
  });
}

function explorerControls(model, link) {
  const glide = glideOf(model);
  const move = (values) => {
    glide.stop();
    assign(model, values);
  };
  const frames = framesSlider(model, {
    label: ["Frames ", element("i", {}, "S")],
    trait: "frames",
    maximum: model.get("max_frames"),
    move,
  });
  const dilution = framesSlider(model, {
    label: [
      "Dilution frames ",
      element("i", {}, "S"),
      element("sub", {}, "∗"),
      element("small", {}, ": frames at which the exponent is ½"),
    ],
    trait: "dilution_frames",
    maximum: MAX_DILUTION_FRAMES,
    move,
  });
  const main = [depthSlider(model, move), frames];
  const more = [dilution, sharpnessSlider(model, move)];
  const presets = presetButtons(model, glide.to);
  const extra = sliderRow(more);
  presets.row.append(disclosureButton("More", extra), ...(link ? [link] : []));
  const content = element("div", { class: "book-widget-controls" });
  content.append(sliderRow(main), presets.row, extra);
  const refresh = () => [...main, ...more, presets].forEach((each) => each.refresh());
  return { content, refresh, move, dispose: glide.stop };
}
