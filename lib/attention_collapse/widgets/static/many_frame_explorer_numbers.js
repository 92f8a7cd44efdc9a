// The numbers at the present number of frames, and a sentence beside those of training.

const READOUTS = ["rotations", "points", "share, layer 1"];

const perCent = (share) => `${significant(100 * share)} %`;

function manyFrameNumbers() {
  const { list, cells } = readoutList(READOUTS, ["now", "measured"]);
  const sentence = element("div", { class: "book-widget-sentence", "aria-live": "polite" });
  const content = element("div", { class: "many-frame-explorer-readouts" }, list, sentence);

  function draw(view) {
    const [rotation, points, share] = cells;
    const { now, ratios } = view;
    rotation.now.textContent = `${now.rotation.toFixed(2)}°`;
    rotation.measured.textContent = `± ${now.rotationError.toFixed(2)}°`;
    points.now.textContent = now.points.toFixed(4);
    points.measured.textContent = `± ${now.pointsError.toFixed(4)}`;
    share.now.textContent = perCent(now.shares[0]);
    share.measured.textContent = "reference frame";
    sentence.textContent = sentenceOn(view);
    sentence.dataset.now = JSON.stringify(now);
    sentence.dataset.ratios = JSON.stringify(ratios);
  }
  return { content, draw, forget: () => {} };
}

function sentenceOn({ now, trained, treatment }) {
  const [, label] = TREATMENTS.find(([name]) => name === treatment);
  const said = ({ rotation, points, shares }) =>
    `${rotation.toFixed(2)}°, points by ${points.toFixed(4)} of their mean distance; layer 1 ` +
    `gives the reference frame ${perCent(shares[0])} of its attention`;
  const start = `${counted(now.frames, "frame")}, ${label}: rotations are off by ${said(now)}.`;
  if (now.frames === trained.frames) return `${start} No scene of training had more.`;
  const { rotation, points, shares } = trained;
  return (
    `${start} At ${counted(trained.frames, "frame")}: ${rotation.toFixed(2)}°, ` +
    `${points.toFixed(4)} and ${perCent(shares[0])}.`
  );
}
