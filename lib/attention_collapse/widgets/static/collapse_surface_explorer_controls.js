// The controls of the collapse surface explorer: scheme, four sliders, presets, play.

const MAX_STAR = 4096; // end of the slider of dilution frames
const SMALLEST_WEIGHT = 0.05;
const PLAY_TIME = 9000; // ms from the first layer to the last

const SCHEMES = [
  ["pre-norm", "pre-norm (VGGT)"],
  ["post-norm", "post-norm"],
  ["averaging", "averaging"],
  ["pure", "no residual"],
  ["shrinking-step", "step 1/L"],
];

/** Runs the depth to its end, at an even pace in ln(1 + τL), and from the start if it stands there. */
function playerOf(model, changed) {
  const button = element("button", { type: "button", class: "play" });
  let [frame, playing] = [0, false];
  function say(state) {
    playing = state;
    button.textContent = playing ? "❚❚ Pause" : "▶ Play depth";
  }
  function stop() {
    cancelAnimationFrame(frame);
    if (!playing) return;
    say(false);
    changed();
    model.save_changes();
  }
  function start() {
    const end = model.get("max_depth");
    const axis = depthAxis({ limits: { depth: end }, step: model.get("step") }, [0, PLAY_TIME]);
    const from = axis.position(model.get("depth") >= end ? 0 : model.get("depth"));
    const began = performance.now();
    const advance = (now) => {
      const time = Math.min(from + Math.max(now - began, 0), PLAY_TIME);
      model.set("depth", Math.round(axis.value(time)));
      if (time < PLAY_TIME) frame = requestAnimationFrame(advance);
      else stop();
    };
    say(true);
    frame = requestAnimationFrame(advance);
  }
  button.addEventListener("click", () => (playing ? stop() : start()));
  say(false);
  return { button, stop, playing: () => playing, dispose: () => cancelAnimationFrame(frame) };
}

/** The next depth an arrow key leads to: one layer, and from 40 layers on a twentieth. */
function nextDepth(maximum) {
  return (depth, direction) => {
    const stride = Math.max(1, Math.round(depth / 20));
    return Math.min(Math.max(depth + direction * stride, 0), maximum);
  };
}

function depthOnTimeSlider(model, move) {
  const maximum = model.get("max_depth");
  const scale = depthAxis({ limits: { depth: maximum }, step: model.get("step") }, [0, 1]);
  return slider({
    model,
    label: ["Depth ", element("i", {}, "L")],
    scale,
    step: 0.001,
    ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(scale.value(share))),
    next: nextDepth(maximum),
    read: () => model.get("depth"),
    write: (depth) => move({ depth: Math.round(depth) }),
    describe: (depth) => counted(depth, "layer"),
  });
}

/** The weight runs from 1 at the left to its smallest value: to the right more is merged. */
function weightSlider(model, move) {
  const inverse = (weight) => -Math.log(weight);
  return slider({
    model,
    label: ["Weight of non-matches ", element("i", {}, "f"), element("small", {}, ": merging")],
    scale: scaleOf([1, SMALLEST_WEIGHT], [0, 1], inverse, (logarithm) => Math.exp(-logarithm)),
    step: 0.001,
    ticks: [1, 0.5, 0.2, 0.1, 0.05],
    next: nextWeight,
    read: () => model.get("other_weight"),
    write: (weight) => move({ other_weight: Number(weight.toFixed(2)) }),
    describe: (weight) => weight.toFixed(2),
  });
}

/** The next weight an arrow key leads to: steps of .05, and of .01 below .2. */
function nextWeight(weight, direction) {
  const stride = weight - 0.001 * direction >= 0.2 ? 0.05 : 0.01;
  return Math.min(Math.max(weight - direction * stride, SMALLEST_WEIGHT), 1);
}

function collapseControls(model, link, changed) {
  const player = playerOf(model, changed);
  const move = (values) => {
    if ("depth" in values) player.stop();
    assign(model, values);
  };
  const frames = framesSlider(model, {
    label: ["Frames ", element("i", {}, "S")],
    trait: "frames",
    maximum: model.get("max_frames"),
    move,
  });
  const star = framesSlider(model, {
    label: ["Dilution frames ", element("i", {}, "S"), element("sub", {}, "∗")],
    trait: "dilution_frames",
    maximum: MAX_STAR,
    move,
  });
  const scheme = choice({
    model,
    label: "Layer",
    options: SCHEMES,
    read: () => model.get("scheme"),
    write: (value) => move({ scheme: value }),
  });
  const sliders = [depthOnTimeSlider(model, move), frames, star, weightSlider(model, move)];
  const presets = presetButtons(model, (values) => {
    move(values);
    model.save_changes();
  });
  presets.row.append(...(link ? [link] : []));
  const content = element("div", { class: "book-widget-controls" });
  const top = element("div", { class: "collapse-surface-top" }, scheme.row, player.button);
  content.append(top, sliderRow(sliders), presets.row);
  const refresh = () => [scheme, ...sliders, presets].forEach((each) => each.refresh());
  return { content, refresh, move, playing: player.playing, dispose: player.dispose };
}
