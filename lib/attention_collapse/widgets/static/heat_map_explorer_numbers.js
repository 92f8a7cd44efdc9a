// The numbers of the layer and of the map shown.

const READOUTS = ["entropy H", "σ₂/σ₁", "largest weight", "on other tokens"];

function heatMapNumbers() {
  const { list, cells } = readoutList(READOUTS, ["now", "measured"]);
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "heat-map-explorer-readouts" }, list, sentence);

  function draw(view) {
    const { tokens, statistics, entropy, singularRatio } = view;
    const { peak, elsewhere } = statistics.recorded;
    const [spread, ratio, largest, rest] = cells;
    spread.now.textContent = entropy.toFixed(2);
    spread.measured.textContent = `ln N − H = ${(Math.log(tokens) - entropy).toFixed(2)}, N = ${tokens}`;
    ratio.now.textContent = singularRatio.toFixed(3);
    ratio.measured.textContent = "0 at rank one";
    largest.now.textContent = `${significant(peak)} / N`;
    largest.measured.textContent = "of the chosen query";
    rest.now.textContent = `${(100 * elsewhere).toFixed(1)} %`;
    rest.measured.textContent = view.frames > view.shown ? "special or not shown" : "special";
    sentence.textContent = sentenceOn(view);
    sentence.dataset.statistics = JSON.stringify(statistics);
    sentence.dataset.layer = JSON.stringify({ entropy, singularRatio, tokens });
    sentence.dataset.map = JSON.stringify(view.maps.recorded);
  }
  return { content, draw, forget: () => {} };
}

function sentenceOn({ queries, query, layer, head, frames, statistics, agreement }) {
  const [frame, row, column] = queries[query - 1];
  const { masses } = statistics.recorded;
  const most = masses.indexOf(Math.max(...masses));
  const said =
    `Patch (${row}, ${column}) of frame ${frame + 1} in layer ${layer}, head ${head}, ` +
    `${counted(frames, "frame")}: of the frames shown, frame ${most + 1} has the most attention, ` +
    `${(100 * masses[most]).toFixed(1)} %.`;
  if (agreement === null) return said;
  return `${said} The predicted kernel correlates with it to ${agreement.toFixed(2)} over the patches.`;
}
