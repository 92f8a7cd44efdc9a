// The controls of the reconstruction viewer: what is shown, its colours, views.

const TURN_RATE = 20; // degrees a second
const TURN_STEP = 30; // degrees, at once where the reader wants no motion

/** What can be chosen of a trait, given what the viewer holds. */
function viewerOptions(model) {
  const [truth, confidence] = [model.get("true_points"), model.get("confidence")];
  return {
    shown: truth
      ? [["predicted", "predicted"], ["true", "true"], ["both", "both"]]
      : [["predicted", "predicted"]],
    colouring: [
      ["image", "image"],
      ...(confidence ? [["confidence", "confidence"]] : []),
      ...(truth ? [["error", "error"]] : []),
    ],
  };
}

function wordChoice(model, trait, label) {
  const options = viewerOptions(model)[trait];
  const made = choice({
    model,
    label,
    options,
    read: () => model.get(trait),
    write: (value) => assign(model, { [trait]: value }),
  });
  made.row.hidden = options.length < 2;
  return made;
}

/** A button that turns the scene until it is pressed again, or by a step, and how to stop it. */
function turnButton(model) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, "Turn");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let frame = 0;
  const turn = (right) => assign(model, { azimuth: movedView(viewOf(model), { right }).azimuth });
  const stop = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    button.setAttribute("aria-pressed", "false");
  };
  const run = (before) => (now) => {
    turn((TURN_RATE * Math.min(now - before, 100)) / 1000);
    frame = requestAnimationFrame(run(now));
  };
  button.addEventListener("click", () => {
    if (frame) stop();
    else if (still.matches) turn(TURN_STEP);
    else {
      button.setAttribute("aria-pressed", "true");
      frame = requestAnimationFrame(run(performance.now()));
    }
    model.save_changes();
  });
  return { button, stop };
}

/** Buttons for a pointer without a wheel. */
const zoomButtons = (move, done) =>
  [["Nearer", 1.25], ["Farther", 0.8]].map(([label, factor]) => {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", () => {
      move({ factor });
      done();
    });
    return button;
  });

function viewerControls(model, link, { move, done }) {
  const choices = [wordChoice(model, "shown", "Show"), wordChoice(model, "colouring", "Colour by")];
  const turn = turnButton(model);
  const presets = presetButtons(model, (values) => {
    turn.stop();
    assign(model, values);
    model.save_changes();
  });
  presets.row.append(turn.button, ...zoomButtons(move, done));
  if (link) presets.row.append(link);
  const head = element("div", { class: "reconstruction-viewer-head" });
  head.append(...choices.map(({ row }) => row));
  const content = element("div", { class: "book-widget-controls" }, head, presets.row);
  const refresh = () => [...choices, presets].forEach((each) => each.refresh());
  return { content, refresh, stop: turn.stop };
}
