// The merge explorer: groups of patches on frames, and what they do to the variance of tokens.

const ADDRESS = ["cell", "ratio", "reference", "weighting", "patch"];
const SCENE = ["images", "colours", "tokens", "rows", "columns"];
const READOUTS = ["tokens left", "variance between groups", "contraction"];

const readTraits = (model) =>
  Object.fromEntries([...SCENE, ...ADDRESS].map((name) => [name, model.get(name)]));

/** Refuse traits that make no groups. */
function requireDrawable({ images, tokens, rows, columns, cell, ratio, patch, ...words }) {
  const count = images.length * rows * columns;
  requireThat(
    tokens.length === count && count > 0,
    `tokens must be one for each of ${count} patches; got ${tokens.length}`,
  );
  requireThat(CELLS.includes(cell), `cell must be one of ${CELLS.join(", ")}; got ${cell}`);
  requireThat(
    ratio >= 0 && ratio <= MAX_RATIO,
    `ratio must be at least 0 and at most ${MAX_RATIO}; got ${ratio}`,
  );
  requireThat(
    Number.isInteger(patch) && patch >= -1 && patch < count,
    `patch must be a whole number from -1 to ${count - 1}; got ${patch}`,
  );
  requireThat(
    REFERENCES.includes(words.reference),
    `reference must be one of ${REFERENCES.join(", ")}; got ${words.reference}`,
  );
  requireThat(
    ["size", "none"].includes(words.weighting),
    `weighting must be size or none; got ${words.weighting}`,
  );
}

/** Mean colour of every group, by the token that it is merged into. */
function groupColours(colours, members, target) {
  return new Map(
    members.map((group) => [
      target[group[0]],
      [0, 1, 2].map((k) =>
        Math.round(group.reduce((total, token) => total + colours[token][k], 0) / group.length),
      ),
    ]),
  );
}

/** What is drawn of a state; `whole` is the flow without merging. */
function viewOf(traits, whole) {
  const { images, tokens, weighting } = traits;
  const groups = patchGroups({ ...traits, frames: images.length });
  const members = membersOf(groups.target);
  return {
    ...traits,
    ...groups,
    counts: new Map(members.map((group) => [groups.target[group[0]], group.length])),
    colours: groupColours(traits.colours, members, groups.target),
    statistics: mergeStatistics(tokens, groups.target, weighting),
    curves: {
      unmerged: whole,
      merged: flowVariance(tokens, groups.target, weighting),
      law: lawVariance(tokens, groups.target),
    },
  };
}

function readouts() {
  const { list, cells } = readoutList(READOUTS, ["now", "measured"]);
  const note = element("div", { class: "merge-explorer-note" });
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "merge-explorer-readouts" }, list, note, sentence);

  function draw(view) {
    const { kept, largest, between, predicted, measured } = view.statistics;
    const [left, share, rate] = cells;
    left.now.textContent = `${kept} of ${view.tokens.length}`;
    left.measured.textContent = `largest group ${largest}`;
    share.now.textContent = between.toFixed(3);
    share.measured.textContent = `within, frozen: ${(1 - between).toFixed(3)}`;
    rate.now.textContent = predicted.toFixed(3);
    const shown = element("span", {}, legendMarker(0), `${measured.toFixed(3)} measured`);
    rate.measured.replaceChildren(shown);
    note.textContent = limitOf(view);
    sentence.textContent = sentenceOn(view);
    sentence.dataset.statistics = JSON.stringify(view.statistics);
    sentence.dataset.curves = JSON.stringify(view.curves);
    sentence.dataset.target = JSON.stringify(view.target);
  }
  return { content, draw, forget: () => {} };
}

/** What the law is of, or that the ratio cannot be had. */
function limitOf({ tokens, ratio, mergeable, weighting }) {
  const asked = Math.floor(ratio * tokens.length + 1e-9);
  if (asked > mergeable) {
    const share = Math.floor((100 * mergeable) / tokens.length);
    return `Only ${share} % of the tokens may join one: all of them do.`;
  }
  return weighting === "size"
    ? "Contraction over that of all tokens: by the law, tr Σ² between groups over tr Σ²."
    : "The law holds for keys that weigh their sizes. Here each weighs one.";
}

function sentenceOn({ statistics, target, patch, rows, columns }) {
  const { kept, predicted, measured } = statistics;
  const rate =
    `Attention among ${kept} of ${target.length} tokens contracts ${measured.toFixed(2)} times ` +
    `as fast as among all; the law says ${predicted.toFixed(2)}.`;
  if (patch < 0) return rate;
  const frames = target.flatMap((home, token) =>
    home === target[patch] ? [1 + Math.floor(token / (rows * columns))] : [],
  );
  const by = [...new Set(frames)].map(
    (frame) => `${frames.filter((each) => each === frame).length} in frame ${frame}`,
  );
  return `${rate} The chosen patch is in a group of ${frames.length}: ${by.join(", ")}.`;
}

function build({ model, link }) {
  const controls = mergeControls(model, link);
  const parts = [readouts(), framesPanel(model), variancePanel()];
  const content = element("div", { class: "merge-explorer-grid" });
  content.append(controls.content, ...parts.map((part) => part.content));
  let whole = { tokens: null };
  function draw() {
    controls.refresh();
    const traits = readTraits(model);
    requireDrawable(traits);
    const { tokens } = traits;
    if (whole.tokens !== tokens) {
      const alone = tokens.map((_, token) => token);
      whole = { tokens, variances: flowVariance(tokens, alone, "none") };
    }
    const view = viewOf(traits, whole.variances);
    for (const part of parts) part.draw(view);
  }
  const forget = () => parts.forEach((part) => part.forget());
  return { content, draw, forget, dispose: () => {} };
}

export default defineWidget({
  className: "merge-explorer",
  redrawOn: [...SCENE, ...ADDRESS],
  addressKeys: ADDRESS,
  check: (model, given) => requireDrawable({ ...readTraits(model), ...given }),
  build,
});
