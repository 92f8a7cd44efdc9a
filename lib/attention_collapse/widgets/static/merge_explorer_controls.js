// The controls of the merge explorer: cell, reference, sizes, ratio, presets.

const MAX_RATIO = 0.9;

function ratioSlider(model) {
  return slider({
    model,
    label: ["Tokens to remove"],
    scale: scaleOf([0, MAX_RATIO], [0, MAX_RATIO]),
    step: 0.01,
    ticks: [0, 0.3, 0.6, 0.9],
    read: () => model.get("ratio"),
    write: (value) => assign(model, { ratio: Math.round(value * 100) / 100 }),
    describe: (ratio) => `${Math.round(ratio * 100)} %`,
  });
}

/** Radio buttons of one trait; numbers are written as numbers. */
function traitChoice(model, trait, label, options) {
  const typed = (value) => (typeof model.get(trait) === "number" ? Number(value) : value);
  return choice({
    model,
    label,
    options,
    read: () => String(model.get(trait)),
    write: (value) => assign(model, { [trait]: typed(value) }),
  });
}

function mergeControls(model, link) {
  const parts = [
    traitChoice(model, "cell", "Cell", CELLS.map((side) => [String(side), `${side} × ${side}`])),
    traitChoice(model, "reference", "First frame", [
      ["grid", "as the others"],
      ["destination", "destinations"],
      ["protected", "apart"],
    ]),
    traitChoice(model, "weighting", "Keys weigh", [
      ["size", "their sizes"],
      ["none", "one each"],
    ]),
  ];
  const ratio = ratioSlider(model);
  const presets = presetButtons(model, (values) => {
    assign(model, values);
    model.save_changes();
  });
  if (link) presets.row.append(link);
  const head = element("div", { class: "merge-explorer-head" }, ...parts.map(({ row }) => row));
  const content = element("div", { class: "book-widget-controls" });
  content.append(head, sliderRow([ratio]), presets.row);
  return { content, refresh: () => [...parts, ratio, presets].forEach((each) => each.refresh()) };
}
