// The frames, with merged patches in the mean colour of their group.

function framesPanel(model) {
  const frames = element("div", {
    class: "merge-explorer-frames",
    role: "group",
    tabindex: "0",
    "aria-label": "Frames; the arrow keys choose a patch, Escape none",
    "data-lm-suppress-shortcuts": "true",
  });
  const { content } = panel({
    name: "frames",
    letter: "a",
    title: "Who joins whom",
    hint: "Merged patches have the mean colour of their group, dots are destinations. Choose a patch to see its group.",
    plot: [frames],
  });
  const choose = (patch) => {
    assign(model, { patch });
    model.save_changes();
  };
  frames.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: model.get("columns") };
    move.ArrowUp = -move.ArrowDown;
    if (!(event.key in move) && event.key !== "Escape") return;
    event.preventDefault();
    const last = model.get("tokens").length - 1;
    const next = model.get("patch") + (move[event.key] ?? 0);
    choose(event.key === "Escape" ? -1 : Math.min(Math.max(next, 0), last));
  });
  let drawn = null;

  function draw(view) {
    if (drawn !== view.images) frames.replaceChildren(...view.images.map(() => frameOf(view)));
    view.images.forEach((image, frame) => {
      const [picture, overlay] = frames.children[frame].children;
      if (drawn !== view.images) {
        picture.src = image;
        picture.alt = `frame ${frame + 1}`;
        overlay.addEventListener("click", (event) => choose(patchAt(event, overlay, view, frame)));
      }
      overlay.replaceChildren(...marksOf(view, frame));
    });
    drawn = view.images;
  }
  return { content, draw, forget: () => {} };
}

const frameOf = ({ rows, columns }) =>
  element(
    "div",
    { class: "merge-explorer-frame" },
    element("img", { draggable: "false" }),
    shape("svg", {
      viewBox: `0 0 ${columns} ${rows}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    }),
  );

/** The patch under a pointer, counted over all frames. */
function patchAt(event, overlay, { rows, columns }, frame) {
  const box = overlay.getBoundingClientRect();
  const place = (at, start, length, count) =>
    Math.min(Math.max(Math.floor(((at - start) / length) * count), 0), count - 1);
  const row = place(event.clientY, box.top, box.height, rows);
  return (frame * rows + row) * columns + place(event.clientX, box.left, box.width, columns);
}

/** Tiles of merged patches, dots on destinations, and a frame around the chosen group. */
function marksOf({ target, counts, colours, destinations, rows, columns, patch }, frame) {
  const marks = { tiles: [], dots: [], chosen: [] };
  const receives = new Set(destinations);
  for (let index = 0; index < rows * columns; index++) {
    const token = frame * rows * columns + index;
    const [x, y] = [index % columns, Math.floor(index / columns)];
    const tile = { x, y, width: 1, height: 1 };
    if (counts.get(target[token]) > 1) {
      marks.tiles.push(shape("rect", { ...tile, fill: `rgb(${colours.get(target[token])})` }));
    }
    if (receives.has(token)) {
      marks.dots.push(shape("circle", { class: "home", cx: x + 0.5, cy: y + 0.5, r: 0.13 }));
    }
    if (patch >= 0 && target[token] === target[patch]) {
      const name = token === patch ? "chosen here" : "chosen";
      marks.chosen.push(shape("rect", { ...tile, class: name }));
    }
  }
  return [...marks.tiles, ...marks.dots, ...marks.chosen];
}
