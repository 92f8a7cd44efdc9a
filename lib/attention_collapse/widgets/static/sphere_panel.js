// What attention reads, seen as points in the unit ball that turns slowly to and fro.

const SWAY = { angle: 0.6, period: 24000 }; // radians, ms
const TILT = 0.35; // radians, as seen from above the equator
const MERIDIANS = 6;
const PARALLELS = [-60, -30, 0, 30, 60]; // degrees

/** The points now and at depth zero; the reader may stop the sphere, or turn it by dragging. */
function spherePanel() {
  const { svg, size, forget } = plotOf("Particles on the unit sphere");
  const layersOfInk = ["globe back", "globe", "limb", "initial", "particles back", "particles"];
  const paths = layersOfInk.map((name) => shape("path", { class: name }));
  svg.append(...paths);
  const legend = element("div", { class: "book-widget-panel-legend" });
  const { content, area } = panel({
    name: "sphere",
    letter: "a",
    title: "Particles",
    hint: "As attention reads them. Drag to turn.",
    plot: [svg],
  });
  area.before(legend);
  let view = null;
  const paint = (angles) => view && paintSphere(paths, size(), view, angles);
  const turning = turningOf(svg, paint);
  const now = element("span");
  legend.append(
    element("span", {}, legendDot("measured"), now),
    element("span", {}, legendDot("initial"), "at depth 0"),
    turning.button,
  );
  function draw(drawn) {
    view = drawn;
    now.textContent = `after ${counted(drawn.depth, "layer")}`;
    turning.repaint();
  }
  return { content, draw, forget, dispose: turning.dispose };
}

/** Angles that sway until stopped, by the button or by a drag; `paint` receives each. */
function turningOf(svg, paint) {
  const angles = { yaw: 0, tilt: TILT };
  const button = element("button", { type: "button", class: "aside" });
  let [frame, running, seen, phase, last] = [0, false, true, 0, 0];
  const sway = () => SWAY.angle * Math.sin((2 * Math.PI * phase) / SWAY.period);
  const repaint = () => paint({ ...angles, yaw: angles.yaw + sway() });
  const advance = (now) => {
    phase += Math.min(Math.max(now - last, 0), 100);
    last = now;
    if (seen) repaint();
    frame = requestAnimationFrame(advance);
  };
  function run(wanted) {
    cancelAnimationFrame(frame);
    running = wanted;
    button.textContent = running ? "Stop turning" : "Turn";
    last = performance.now();
    if (running) frame = requestAnimationFrame(advance);
  }
  button.addEventListener("click", () => run(!running));
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    svg.setPointerCapture(event.pointerId);
    [angles.yaw, phase] = [angles.yaw + sway(), 0];
    run(false);
  });
  svg.addEventListener("pointermove", ({ pointerId, movementX, movementY }) => {
    if (!svg.hasPointerCapture(pointerId)) return;
    angles.yaw += movementX / 100;
    angles.tilt = Math.min(Math.max(angles.tilt + movementY / 100, -1.5), 1.5);
    repaint();
  });
  const visible = new IntersectionObserver((entries) => (seen = entries.at(-1).isIntersecting));
  visible.observe(svg);
  run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  const dispose = () => {
    visible.disconnect();
    cancelAnimationFrame(frame);
  };
  return { button, repaint, dispose };
}

/** A point of space as [right, up, towards the reader]. */
function turned([x, y, z], { yaw, tilt }) {
  const [right, ahead] = [
    Math.cos(yaw) * x + Math.sin(yaw) * z,
    Math.cos(yaw) * z - Math.sin(yaw) * x,
  ];
  return [
    right,
    Math.cos(tilt) * y - Math.sin(tilt) * ahead,
    Math.sin(tilt) * y + Math.cos(tilt) * ahead,
  ];
}

const GLOBE = globe();

/** Circles of longitude and latitude around the second axis, as lists of points. */
function globe() {
  const round = Array.from({ length: 61 }, (_, step) => (2 * Math.PI * step) / 60);
  const meridians = Array.from({ length: MERIDIANS }, (_, index) => {
    const [sine, cosine] = [Math.sin, Math.cos].map((of) => of((Math.PI * index) / MERIDIANS));
    return round.map((angle) => [Math.cos(angle) * cosine, Math.sin(angle), Math.cos(angle) * sine]);
  });
  const parallels = PARALLELS.map((degrees) => {
    const [sine, cosine] = [Math.sin, Math.cos].map((of) => of((Math.PI * degrees) / 180));
    return round.map((angle) => [cosine * Math.cos(angle), sine, cosine * Math.sin(angle)]);
  });
  return [...meridians, ...parallels];
}

function paintSphere(paths, { width, height }, { particles, start }, angles) {
  const radius = Math.min(width, height) / 2 - 8;
  const place = ([right, up]) =>
    `${(width / 2 + radius * right).toFixed(1)} ${(height / 2 - radius * up).toFixed(1)}`;
  const dots = (points) => points.map((point) => `M${place(point)}h0`).join("");
  const turnedAll = (points) => points.map((point) => turned(point, angles));
  const [front, back] = halves(turnedAll(particles));
  const [near, far] = segments(GLOBE.map(turnedAll), place);
  const [left, middle] = [width / 2 - radius, height / 2];
  const limb = `M${left} ${middle}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
  const drawn = [far, near, limb, dots(turnedAll(start)), dots(back), dots(front)];
  paths.forEach((path, index) => path.setAttribute("d", drawn[index]));
}

/** Points in front of the centre, and those behind it. */
const halves = (points) => [
  points.filter(([, , towards]) => towards >= 0),
  points.filter(([, , towards]) => towards < 0),
];

/** Pieces of circles in front of the centre, and behind it, as the text of two paths. */
function segments(circles, place) {
  const [near, far] = [[], []];
  for (const circle of circles) {
    for (let index = 1; index < circle.length; index++) {
      const [from, to] = [circle[index - 1], circle[index]];
      (from[2] + to[2] >= 0 ? near : far).push(`M${place(from)}L${place(to)}`);
    }
  }
  return [near.join(""), far.join("")];
}
