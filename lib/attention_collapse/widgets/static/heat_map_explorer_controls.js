// The controls of the heat-map explorer: layer, head, number of frames.

/** A slider over whole numbers from 1; `say` names one. */
function indexSlider(model, { label, count, read, write, say }) {
  const last = Math.max(count, 2);
  const ticks = Array.from({ length: count }, (_, index) => index + 1);
  const made = slider({
    model,
    label: [label],
    scale: scaleOf([1, last], [1, last]),
    step: 1,
    ticks: count > 12 ? ticks.filter((tick) => tick % 4 === 0) : ticks,
    read,
    write: (value) => write(Math.min(Math.round(value), count)),
    describe: say,
  });
  made.row.hidden = count < 2;
  return made;
}

function heatMapControls(model, link) {
  const entropy = model.get("entropy")[0];
  const counts = model.get("frame_counts");
  const trait = (name, label, count) =>
    indexSlider(model, {
      label,
      count,
      read: () => model.get(name),
      write: (value) => assign(model, { [name]: value }),
      say: String,
    });
  const frames = choice({
    model,
    label: "Frames in the pass",
    options: counts.map((count) => [String(count), String(count)]),
    read: () => String(model.get("frames")),
    write: (value) => assign(model, { frames: Number(value) }),
  });
  const sliders = [trait("layer", "Global layer", entropy.length), trait("head", "Head", entropy[0].length)];
  const head = element("div", { class: "heat-map-explorer-head" }, frames.row);
  if (link) head.append(link);
  const content = element("div", { class: "book-widget-controls" }, sliderRow(sliders), head);
  return { content, refresh: () => [...sliders, frames].forEach((each) => each.refresh()) };
}
