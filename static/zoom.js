"use strict";
// What the viewer of a run has besides: its picture at 100 %, keys, and how many of each gray there are. On pages with a
// viewer alone, after app.js, whose functions it uses. The viewer says with “shown” what it shows; “turn” and “op” tell it
// to show another picture and another result.
const BINS = 64, TALL = 60;

function zoom() {
  const box = $("[data-viewer]"), dialog = $("[data-zoom-dialog]");
  if (!box || !dialog) return;
  const image = $("[data-zoom-image]", dialog), area = $("[data-zoom-area]", dialog), before = $("[data-zoom-before]", dialog);
  const ops = $$("[data-zoom-op]", dialog), turns = $$("[data-zoom-turn]", dialog), help = $("[data-zoom-help]", dialog);
  const whole = $("[data-zoom-whole]", dialog), full = $("[data-zoom-full]", dialog);
  let now = null, middle = false;

  box.addEventListener("shown", (event) => { now = event.detail; if (dialog.open) draw(); grays(box, now); });
  function draw() {
    const original = before.getAttribute("aria-pressed") === "true";
    const src = original ? now.original : now.file;
    image.alt = `${now.title}, ${original ? "original" : now.label.toLowerCase()}`;
    $("[data-zoom-name]", dialog).textContent = image.alt;
    if (image.getAttribute("src") !== src) image.src = src;
    before.disabled = !now.original;
    for (const button of ops) {
      button.hidden = !now.has(button.dataset.zoomOp);
      button.setAttribute("aria-pressed", String(button.dataset.zoomOp === now.op && !original));
    }
    for (const button of turns) button.disabled = !can(Number(button.dataset.zoomTurn));
  }
  const can = (by) => now.turns[by > 0 ? 1 : 0];
  function open() {
    middle = true;
    dialog.showModal();
    look(false);
    if (image.complete) settle();
    area.focus();
  }
  function look(original) { before.setAttribute("aria-pressed", String(original)); draw(); }
  function tell(what, detail) { box.dispatchEvent(new CustomEvent(what, { detail })); }
  function choose(op) { if (now.has(op)) { before.setAttribute("aria-pressed", "false"); tell("op", op); draw(); } }
  function turn(by) {
    if (!can(by)) return;
    middle = dialog.open;
    before.setAttribute("aria-pressed", "false");
    tell("turn", by);
  }
  // The result says how large the picture is; the original is there as a preview, which is stretched over the same place.
  function settle() {
    if (!image.naturalWidth) return;
    if (before.getAttribute("aria-pressed") !== "true") image.style.width = `${image.naturalWidth}px`;
    if (!middle) return;
    middle = false;
    area.scrollTo((area.scrollWidth - area.clientWidth) / 2, (area.scrollHeight - area.clientHeight) / 2);
  }
  image.addEventListener("load", settle);

  $("[data-open]", box).addEventListener("click", (event) => { event.preventDefault(); open(); });
  $("[data-zoom-close]", dialog).addEventListener("click", () => dialog.close());
  before.addEventListener("click", () => look(before.getAttribute("aria-pressed") !== "true"));
  for (const button of ops) button.addEventListener("click", () => choose(button.dataset.zoomOp));
  for (const button of turns) button.addEventListener("click", () => turn(Number(button.dataset.zoomTurn)));
  full.hidden = !document.fullscreenEnabled;
  full.addEventListener("click", fullScreen);
  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (document.fullscreenEnabled) whole.requestFullscreen().catch(() => {});  // a dialog itself may not be
  }
  document.addEventListener("fullscreenchange", () => full.setAttribute("aria-pressed", String(document.fullscreenElement === whole)));
  dialog.addEventListener("close", () => { if (document.fullscreenElement) document.exitFullscreen(); });

  /* ----- dragging ----- */
  let from = null;
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;  // a finger scrolls by itself
    from = [event.clientX + area.scrollLeft, event.clientY + area.scrollTop];
    area.setPointerCapture(event.pointerId);
    area.classList.add("is-dragged");
  });
  area.addEventListener("pointermove", (event) => { if (from) area.scrollTo(from[0] - event.clientX, from[1] - event.clientY); });
  for (const end of ["pointerup", "pointercancel"]) area.addEventListener(end, () => { from = null; area.classList.remove("is-dragged"); });
  image.addEventListener("dragstart", (event) => event.preventDefault());

  /* ----- keys, while something of the viewer has the focus ----- */
  function keys(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !now) return;
    const key = event.key.toLowerCase(), arrows = !event.target.matches("[type=range], [data-zoom-area]");
    const shown = [...$$("[data-op]", box)].map((link) => link.dataset.op);
    if (key === "n" || (key === "arrowright" && arrows)) turn(1);
    else if (key === "p" || (key === "arrowleft" && arrows)) turn(-1);
    else if (key >= "1" && key <= "9" && shown[key - 1]) choose(shown[key - 1]);
    else if (key === "b" && dialog.open) look(before.getAttribute("aria-pressed") !== "true");
    else if (key === "z") { if (dialog.open) dialog.close(); else open(); }
    else if (key === "f") { if (!dialog.open) open(); fullScreen(); }
    else if (key === "?") { if (!dialog.open) open(); help.open = !help.open; }
    else return;
    event.preventDefault();
  }
  box.addEventListener("keydown", keys);
  dialog.addEventListener("keydown", keys);
}

/* ----- how many of each gray there are, before and after ----- */
let asked = 0;
async function grays(box, now) {
  const figure = $("[data-grays]", box), mine = asked += 1;
  if (!figure) return;
  figure.hidden = !now.histogram;
  if (!now.histogram || !now.original) { figure.hidden = true; return; }
  const counts = await Promise.all([now.original, now.small].map(counted256)).catch(() => null);
  if (mine !== asked) return;  // another picture is shown by now
  figure.hidden = !counts;
  if (!counts) return;
  const said = counts.map((one, k) => {
    $(`[data-gray="${k}"]`, figure).setAttribute("d", outline(one));
    return [0.25, 0.75].map((share) => gray(one, share));
  });
  $("figcaption", figure).textContent = `How many pixels have which gray, dark to light, by the previews: the line is the original, the area the result. Half of the original’s lie from ${said[0].join(" to ")} (of 0 to 255), half of the result’s from ${said[1].join(" to ")}.`;
}
async function counted256(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  const canvas = document.createElement("canvas"), scale = Math.min(1, 400 / Math.max(image.naturalWidth, image.naturalHeight));
  canvas.width = Math.max(1, image.naturalWidth * scale);
  canvas.height = Math.max(1, image.naturalHeight * scale);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data, counts = new Array(256).fill(0);
  for (let at = 0; at < pixels.length; at += 4) counts[Math.round(0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2])] += 1;
  return counts;
}
function outline(counts) {
  const bins = new Array(BINS).fill(0);
  counts.forEach((count, at) => { bins[Math.floor(at * BINS / 256)] += count; });
  const most = Math.max(...bins), wide = 256 / BINS;
  return `M0 ${TALL}${bins.map((bin, k) => `V${(TALL * (1 - bin / most)).toFixed(1)}H${(k + 1) * wide}`).join("")}V${TALL}Z`;
}
function gray(counts, share) {
  let left = share * counts.reduce((sum, one) => sum + one, 0);
  return counts.findIndex((count) => (left -= count) <= 0);
}

zoom();
