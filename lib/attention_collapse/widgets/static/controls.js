// Controls that the book's widgets share.

/** Build an element: element("label", { for: id }, "Depth"). */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Set several attributes of a model; listeners hear of them, a kernel does after save_changes. */
function assign(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
}

/** A number with two significant digits, without exponent. */
function significant(value) {
  const decimals = value === 0 ? 1 : Math.max(0, 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(decimals, 6));
}

const counted = (count, noun) =>
  `${Number(count.toFixed(1))} ${noun}${count === 1 ? "" : "s"}`;

const ARROWS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
let controls = 0;

/**
 * A labelled native range slider with a readable value and ticks.
 *
 * `read()` and `write(value)` speak the reader's units; `scale` maps them to the position of the
 * thumb. The kernel hears of a change when the reader lets go, not on every pixel. Where equal
 * steps of the thumb are not equal steps for the reader, `next(value, direction)` says what the
 * arrow keys do.
 */
function slider({ model, label, scale, step, ticks, next, read, write, describe }) {
  const id = `book-widget-slider-${++controls}`;
  const [min, max] = scale.range;
  const input = element("input", { id, type: "range", min, max, step });
  // JupyterLab's command mode takes the arrow keys unless the focused element itself says this.
  input.setAttribute("data-lm-suppress-shortcuts", "true");
  input.addEventListener("input", () => write(scale.value(Number(input.value))));
  input.addEventListener("change", () => model.save_changes());
  input.addEventListener("keydown", (event) => {
    const direction = ARROWS[event.key];
    if (!next || !direction) return;
    event.preventDefault();
    write(next(read(), direction));
    model.save_changes();
  });
  const output = element("span", { class: "value", "aria-hidden": "true" }); // the input says it
  const marks = ticks.map((tick) => {
    const share = (scale.position(tick) - min) / (max - min);
    return element("span", { style: `--share: ${share}` }, String(tick));
  });
  const row = element(
    "div",
    { class: "book-widget-slider" },
    element("label", { for: id }, ...label),
    output,
    input,
    element("div", { class: "book-widget-ticks", "aria-hidden": "true" }, ...marks),
  );
  const refresh = () => {
    const description = describe(read());
    input.value = String(scale.position(read()));
    input.setAttribute("aria-valuetext", description);
    output.textContent = description;
  };
  return { row, refresh };
}

/** The next number of frames an arrow key leads to: an eighth of an octave, at least one frame. */
function nextFrames(maximum) {
  return (frames, direction) => {
    const target = Math.round(frames * 2 ** (direction / 8));
    const moved = direction > 0 ? Math.max(target, frames + 1) : Math.min(target, frames - 1);
    return Math.min(Math.max(moved, 1), maximum);
  };
}

/** A slider over numbers of frames in octaves, from 1 to `maximum`; `move` takes { trait: frames }. */
function framesSlider(model, { label, trait, maximum, move }) {
  const octaves = Math.log2(maximum);
  const powers = Array.from({ length: Math.floor(octaves / 2) + 1 }, (_, power) => 4 ** power);
  return slider({
    model,
    label,
    scale: scaleOf([1, maximum], [0, octaves], Math.log2, (octave) => 2 ** octave),
    step: 0.01,
    ticks: powers,
    next: nextFrames(maximum),
    read: () => model.get(trait),
    write: (frames) => move({ [trait]: Math.round(frames) }),
    describe: (frames) => counted(frames, "frame"),
  });
}

/** A group of radio buttons; each option is [value, label]. The kernel hears of every choice. */
function choice({ model, label, options, read, write }) {
  const name = `book-widget-choice-${++controls}`;
  const row = element("fieldset", { class: "book-widget-choice" }, element("legend", {}, label));
  const inputs = options.map(([value, ...shown]) => {
    const input = element("input", { type: "radio", name, value });
    input.setAttribute("data-lm-suppress-shortcuts", "true"); // see slider
    input.addEventListener("change", () => {
      write(value);
      model.save_changes();
    });
    row.append(element("label", {}, input, element("span", {}, ...shown)));
    return input;
  });
  const refresh = () => inputs.forEach((input) => (input.checked = input.value === read()));
  return { row, refresh };
}

/** Sliders side by side where there is room. */
const sliderRow = (sliders) =>
  element("div", { class: "book-widget-sliders" }, ...sliders.map(({ row }) => row));

const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A row of buttons, one for each named preset of the model; `apply` receives its values. */
function presetButtons(model, apply) {
  const row = element("div", {
    class: "book-widget-presets",
    role: "group",
    "aria-label": "Presets",
  });
  const presets = model.get("presets").map(({ name, ...values }) => {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => apply(values));
    row.append(button);
    return { button, values: Object.entries(values) };
  });
  const refresh = () => {
    for (const { button, values } of presets) {
      const reached = values.every(([key, value]) => equal(model.get(key), value));
      button.setAttribute("aria-pressed", String(reached));
    }
  };
  return { row, refresh };
}

/** A button that shows and hides `content`, hidden at first. */
function disclosureButton(label, content) {
  const button = element("button", { type: "button", class: "aside" }, label);
  button.setAttribute("aria-expanded", "false");
  content.hidden = true;
  button.addEventListener("click", () => {
    content.hidden = !content.hidden;
    button.setAttribute("aria-expanded", String(!content.hidden));
  });
  return button;
}

/** A button that puts the present state into the address and copies it. */
function linkButton(fragment, say) {
  const button = element("button", { type: "button", class: "aside" }, "Copy link");
  button.addEventListener("click", async () => {
    fragment.write();
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied.");
    } catch {
      say("The link is in the address bar.");
    }
  });
  return button;
}
