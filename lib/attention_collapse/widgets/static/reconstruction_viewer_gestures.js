// How a reader turns the scene: drag, two fingers, wheel with Ctrl, keys.

const RANGES = { azimuth: [-180, 180], elevation: [-89, 89], zoom: [0.25, 8] };
const DEGREES_PER_PIXEL = 0.5;
const KEY_STEP = 5; // degrees
const KEY_ZOOM = 1.1;

const rounded = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;
const within = ([low, high], value) => Math.min(Math.max(value, low), high);

/** The view after turning by degrees and zooming by a factor; azimuth goes round. */
export function movedView({ azimuth, elevation, zoom }, { right = 0, up = 0, factor = 1 }) {
  const turned = azimuth + right;
  return {
    azimuth: rounded(turned - 360 * Math.round(turned / 360), 2),
    elevation: rounded(within(RANGES.elevation, elevation + up), 2),
    zoom: rounded(within(RANGES.zoom, zoom * factor), 3),
  };
}

const KEYS = {
  ArrowRight: { right: KEY_STEP },
  ArrowLeft: { right: -KEY_STEP },
  ArrowUp: { up: KEY_STEP },
  ArrowDown: { up: -KEY_STEP },
  "+": { factor: KEY_ZOOM },
  "=": { factor: KEY_ZOOM },
  "-": { factor: 1 / KEY_ZOOM },
};

/** Follow a reader's hands on `surface`: `move` takes what `movedView` takes, `done` ends it. */
function followGestures(surface, { move, done, reset }) {
  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  surface.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before || fingers.size > 2) return;
    const now = { x: event.clientX, y: event.clientY };
    const apart = fingers.size === 2 ? spread() : 0;
    fingers.set(event.pointerId, now);
    if (apart) return move({ factor: spread() / apart });
    // The scene follows the hand, so the reader goes the other way round it.
    move({
      right: -DEGREES_PER_PIXEL * (now.x - before.x),
      up: DEGREES_PER_PIXEL * (now.y - before.y),
    });
  });
  const lift = ({ pointerId }) => fingers.delete(pointerId) && done();
  for (const name of ["pointerup", "pointercancel"]) surface.addEventListener(name, lift);
  followWheel(surface, { move, done });
  surface.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
    if (!(event.key in KEYS) && event.key !== "Home") return;
    event.preventDefault();
    if (event.key === "Home") reset();
    else move(KEYS[event.key]);
    done();
  });
}

/** Zoom with the wheel and Ctrl, as trackpads report a pinch; the wheel alone scrolls the page. */
function followWheel(surface, { move, done }) {
  const zoom = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    move({ factor: Math.exp(-event.deltaY / 300) });
    done();
  };
  surface.addEventListener("wheel", zoom, { passive: false });
}
