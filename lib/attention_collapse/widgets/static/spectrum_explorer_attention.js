// The attention matrix of the sample, in units of the uniform weight.

const FOLD = 2; // the colours saturate at 2^±2 times the uniform weight
const SORTED = {
  gaussian: "Weights times N, sorted by sharpest axis.",
  circle: "Weights times N, sorted around the circle.",
  sphere: "Weights times N, sorted by first axis.",
};

function sampleAttentionPanel() {
  const label = "Attention weights of the sample, query by key";
  const canvas = element("canvas", { role: "img", "aria-label": label });
  const map = element(
    "div",
    { class: "spectrum-explorer-map" },
    canvas,
    element("span", { class: "query" }, "query token"),
    element("span", { class: "key" }, "key token"),
  );
  const bar = element(
    "div",
    { class: "spectrum-explorer-bar", "aria-hidden": "true" },
    ...["4", "2", "1", "½", "¼"].map((weight) => element("span", {}, weight)),
  );
  const { content, area } = panel({
    name: "attention",
    letter: "b",
    title: "Attention in the sample",
    hint: "",
    plot: [map, bar],
  });
  const hint = area.previousSibling;
  let painted = [];

  function draw({ law, sample, palette }) {
    const round = law.name === "sphere" && law.dimension === 2;
    hint.textContent = SORTED[round ? "circle" : law.name];
    map.classList.toggle("stale", sample.stale);
    const needed = [sample.attention, palette.contrast];
    if (needed.every((each, index) => each === painted[index])) return;
    const share = (weight) => 0.5 + Math.log2(weight * sample.attention.length) / (2 * FOLD);
    paintMatrix(canvas, sample.attention.map((row) => row.map(share)), palette.contrast);
    painted = needed;
  }
  return { content, draw, forget: () => {} };
}
