// The controls of the many-frame explorer: recorded numbers of frames, the treatment, presets.

/** A slider over recorded numbers of frames, one step for each. */
function recordedFramesSlider(model) {
  const counts = model.get("frame_counts");
  const last = Math.max(counts.length - 1, 1);
  return slider({
    model,
    label: ["Frames ", element("i", {}, "S")],
    scale: {
      range: [0, last],
      position: (count) => counts.indexOf(count),
      value: (position) => counts[Math.min(Math.round(position), counts.length - 1)],
    },
    step: 1,
    ticks: counts.length > 8 ? counts.filter((_, index) => index % 2 === 0) : counts,
    read: () => model.get("frames"),
    write: (frames) => assign(model, { frames }),
    describe: (frames) => counted(frames, "frame"),
  });
}

function manyFrameControls(model, link) {
  const frames = recordedFramesSlider(model);
  const treatment = choice({
    model,
    label: "Networks",
    options: TREATMENTS,
    read: () => model.get("treatment"),
    write: (name) => assign(model, { treatment: name }),
  });
  const presets = presetButtons(model, (values) => {
    assign(model, values);
    model.save_changes();
  });
  if (link) presets.row.append(link);
  const content = element("div", { class: "book-widget-controls" });
  content.append(frames.row, treatment.row, presets.row);
  return { content, refresh: () => [frames, treatment, presets].forEach((each) => each.refresh()) };
}
