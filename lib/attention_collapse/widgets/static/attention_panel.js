// Attention among the probe tokens, in units of the uniform weight.

const FOLD = 2; // the colours saturate at 2^±2 times the uniform weight

function attentionPanel() {
  const maps = element("div", { class: "rank-explorer-maps" });
  const bar = element(
    "div",
    { class: "rank-explorer-bar", "aria-hidden": "true" },
    ...["4", "2", "1", "½", "¼"].map((label) => element("span", {}, label)),
  );
  const { content, area } = panel({
    name: "attention",
    letter: "b",
    title: "Attention",
    hint: "Weights times N. Collapsed rows are alike.",
    plot: [maps, bar],
  });

  function draw({ attention, measured, palette }) {
    const heats = measured.filter(({ heat }) => heat);
    const label = heats.length ? "closed form" : "";
    const drawn = [{ rows: attention, label, place: "here" }].concat(
      heats.map(({ heat, label, place, taken }) => {
        return { rows: heat, label: place === "here" ? label : `${label}, ${taken}`, place };
      }),
    );
    area.style.setProperty("--maps", drawn.length);
    while (maps.children.length > drawn.length) maps.lastChild.remove();
    while (maps.children.length < drawn.length) maps.append(attentionMap());
    drawn.forEach(({ rows, label, place }, index) => {
      const [canvas, , , caption] = maps.children[index].children;
      maps.children[index].classList.toggle("elsewhere", place === "elsewhere");
      const uniform = 1 / rows[0].length;
      const share = (weight) => 0.5 + Math.log2(weight / uniform) / (2 * FOLD);
      paintMatrix(canvas, rows.map((row) => row.map(share)), palette.contrast);
      caption.textContent = label;
    });
  }
  return { content, draw, forget: () => {} };
}

function attentionMap() {
  return element(
    "div",
    { class: "rank-explorer-map" },
    element("canvas", { role: "img", "aria-label": "Attention weights, query by key" }),
    element("span", { class: "query" }, "query token"),
    element("span", { class: "key" }, "key token"),
    element("span", { class: "source" }),
  );
}
