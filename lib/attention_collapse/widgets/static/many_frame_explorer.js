// The many-frame explorer: what more frames do to errors, shares and ranks, and what the bias does.

const ADDRESS = ["frames", "treatment"];
const HELD = [
  "frame_counts", "errors", "standard_errors", "shares",
  "ratio_frame_counts", "singular_ratios", "trained_frames",
];
const TREATMENTS = [["none", "as trained"], ["bias", "reference bias"]];

const readTraits = (model) =>
  Object.fromEntries([...HELD, ...ADDRESS].map((name) => [name, model.get(name)]));

/** Refuse what is not recorded. */
function requireDrawable({ frame_counts: counts, frames, treatment }) {
  requireThat(counts.length > 0, "there must be numbers of frames; got none");
  requireThat(counts.includes(frames), `frames must be one of ${counts.join(", ")}; got ${frames}`);
  const names = TREATMENTS.map(([name]) => name);
  requireThat(
    names.includes(treatment),
    `treatment must be one of ${names.join(", ")}; got ${treatment}`,
  );
}

/**
 * Singular ratios by layer, now and in training, or the words on why there are none.
 * Up to the frames of training the bias is zero.
 */
function ratiosOf({ treatment, frames, trained_frames, ...traits }) {
  const { ratio_frame_counts: counts, singular_ratios: ratios } = traits;
  const biased = treatment !== "none" && frames > trained_frames;
  if (biased) return { absent: "not recorded with the bias" };
  if (!counts.includes(frames)) return { absent: `recorded to ${counts.at(-1)} frames` };
  return { now: ratios[counts.indexOf(frames)], trained: ratios[counts.indexOf(trained_frames)] };
}

/** Errors and shares at one number of frames. */
function numbersAt({ errors, standard_errors: bars, shares, frame_counts }, chosen, frames) {
  const place = frame_counts.indexOf(frames);
  return {
    frames,
    rotation: errors.rotation[chosen][place],
    rotationError: bars.rotation[chosen][place],
    points: errors.points[chosen][place],
    pointsError: bars.points[chosen][place],
    shares: shares[chosen][place],
  };
}

/** What is drawn of a state. */
function viewOf(traits) {
  const chosen = TREATMENTS.findIndex(([name]) => name === traits.treatment);
  const now = numbersAt(traits, chosen, traits.frames);
  const trained = numbersAt(traits, chosen, traits.trained_frames);
  return {
    ...traits,
    chosen,
    now,
    trained,
    shown: { now: now.shares, trained: trained.shares },
    ratios: ratiosOf(traits),
    leastShare: Math.min(...traits.shares.flat(2)),
  };
}

function build({ model, link }) {
  const controls = manyFrameControls(model, link);
  const parts = [manyFrameNumbers(), errorPanel(), sharePanel(), ratioPanel()];
  const content = element("div", { class: "many-frame-explorer-grid" });
  content.append(controls.content, ...parts.map((part) => part.content));
  return {
    content,
    draw() {
      const traits = readTraits(model);
      requireDrawable(traits);
      controls.refresh();
      const view = viewOf(traits);
      for (const part of parts) part.draw(view);
    },
    forget: () => parts.forEach((part) => part.forget()),
    dispose: () => {},
  };
}

export default defineWidget({
  className: "many-frame-explorer",
  redrawOn: [...HELD, ...ADDRESS],
  addressKeys: ADDRESS,
  check: (model, given) => requireDrawable({ ...readTraits(model), ...given }),
  build,
});
