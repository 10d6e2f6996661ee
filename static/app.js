"use strict";
// Theme first, before the page is drawn. Everything works without this file.
const root = document.documentElement;
root.classList.add("js");
const THEMES = ["auto", "light", "dark"];
const stored = () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } };
function applyTheme(name) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.bsTheme = name === "auto" ? (dark ? "dark" : "light") : name;
}
applyTheme(stored());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => applyTheme(stored()));

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const NBSP = "\u00a0";

function themeButton() {
  const button = $("[data-theme-button]"), label = $("[data-theme-name]");
  button.hidden = false;
  label.textContent = stored();
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(stored()) + 1) % THEMES.length];
    try { localStorage.setItem("theme", next); } catch { /* private window: the choice lasts for this page */ }
    label.textContent = next;
    applyTheme(next);
  });
}

function copyButtons() {
  for (const button of $$("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch { button.textContent = "Not allowed"; }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

function timelines() {
  for (const box of $$("[data-timeline]")) {
    const readout = $("[data-readout]", box.parentElement);
    box.addEventListener("pointerover", (event) => {
      const title = $("title", event.target);
      if (title && event.target.matches("rect")) readout.textContent = title.textContent;
    });
  }
  for (const group of $$("[data-zoom-for]")) {
    const box = $("[data-timeline]", document.getElementById(group.dataset.zoomFor)), buttons = $$("button", group);
    group.hidden = false;
    for (const button of buttons) button.addEventListener("click", () => {
      const middle = (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth;
      box.dataset.zoom = button.dataset.zoom;
      box.scrollLeft = middle * box.scrollWidth - box.clientWidth / 2;  // what was in the middle stays there
      for (const b of buttons) b.setAttribute("aria-pressed", String(b === button));
    });
  }
}

/* ---------- gallery ---------- */
let seen = "";  // the address of the picture that was turned to
function viewer() {
  const box = $("[data-viewer]");
  if (!box) return;
  const compare = $("[data-compare]", box), range = $("input", compare);
  const original = $("[data-original]", box), result = $("[data-result]", box);
  const picks = $$("[data-pick]", box), ops = $$("[data-op]", box), turns = $$("[data-turn]", box), strip = $("[data-strip]", box);
  // The strip is one page of images; those beside it are on other pages.
  const { start, total, before, after } = strip.dataset;
  let at = Math.max(0, picks.findIndex((pick) => pick.hasAttribute("aria-current")));
  let op = ($("[data-op][aria-current]", box) || ops[0]).dataset.op;
  const cut = (share) => { range.value = share; compare.style.setProperty("--cut", `${share}%`); };
  const mark = (all, one) => all.forEach((a) => a === one ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current"));

  function show() {
    const pick = picks[at], { file: title, w, h, dims, warnings = "" } = pick.dataset;
    const has = (name) => pick.hasAttribute(`data-file-${name}`);
    if (!has(op)) op = ops.map((link) => link.dataset.op).find(has);
    const label = ops.find((link) => link.dataset.op === op).textContent;
    compare.style.setProperty("--w", w);
    compare.style.setProperty("--h", h);
    for (const [image, src, what] of [[original, pick.dataset.original, "original"], [result, pick.getAttribute(`data-small-${op}`), label.toLowerCase()]]) {
      Object.assign(image, { width: w, height: h, alt: `${title}, ${what}` });
      if (src) image.src = src; else image.removeAttribute("src");
    }
    $("[data-result-label]", box).textContent = label;
    $("[data-name]", box).textContent = title;
    $("[data-dims]", box).textContent = dims;
    const note = $("[data-note]", box);
    $("span", note).textContent = warnings;
    note.hidden = !warnings;
    $("[data-open]", box).href = pick.getAttribute(`data-file-${op}`);
    for (const link of $$("[data-get]", box)) {
      const url = pick.getAttribute(`data-file-${link.dataset.get}`);
      link.hidden = !url;
      if (!url) continue;
      link.href = `${url}?download`;
      link.download = decodeURIComponent(url.split("/").pop());
      $("small", link).textContent = pick.getAttribute(`data-size-${link.dataset.get}`);
    }
    mark(picks, pick);
    for (const one of picks) one.tabIndex = one === pick ? 0 : -1;  // one stop for Tab; within, the arrow keys
    mark(ops, ops.find((link) => link.dataset.op === op));
    for (const link of $$("[data-page]", box)) link.href = withOperation(link.href);
    if (turns.length) {
      $("[data-at]", box).textContent = `${(Number(start) + at + 1).toLocaleString("en")} of ${Number(total).toLocaleString("en")}`;
      turns[0].toggleAttribute("data-off", at === 0 && !before);
      turns[1].toggleAttribute("data-off", at === picks.length - 1 && !after);
      for (const link of turns) link.setAttribute("aria-disabled", String(link.hasAttribute("data-off")));
    }
    // For zoom.js.
    box.dispatchEvent(new CustomEvent("shown", { detail: {
      title, op, label, has, original: pick.dataset.original, small: pick.getAttribute(`data-small-${op}`), file: pick.getAttribute(`data-file-${op}`),
      histogram: ops.find((link) => link.dataset.op === op).hasAttribute("data-histogram"),
      turns: [at > 0 || before, at < picks.length - 1 || after].map(Boolean),
    } }));
  }
  // The address of another page, which is to show the same operation.
  function withOperation(href) {
    const url = new URL(href, location.href);
    url.searchParams.set("operation", op);
    return url.href;
  }
  function turn(by) {
    const beyond = at + by < 0 ? before : at + by >= picks.length ? after : "";
    if (beyond) location.assign(withOperation(beyond)); else go(at + by);
  }
  function go(to) {
    if (to < 0 || to >= picks.length || to === at) return;
    at = to;
    cut(50);
    show();
    reveal();
    seen = withOperation(picks[at].href);
  }
  function reveal() {
    const item = picks[at].parentElement, top = item.offsetTop - strip.offsetTop;
    if (top < strip.scrollTop || top + item.offsetHeight > strip.scrollTop + strip.clientHeight) strip.scrollTop = top;
  }
  compare.classList.add("is-live");
  range.hidden = false;
  range.addEventListener("input", () => cut(range.value));
  picks.forEach((link, index) => link.addEventListener("click", (event) => { event.preventDefault(); go(index); }));
  function choose(name) { op = name; show(); seen = withOperation(picks[at].href); }
  for (const link of ops) link.addEventListener("click", (event) => { event.preventDefault(); choose(link.dataset.op); });
  box.addEventListener("op", (event) => choose(event.detail));
  box.addEventListener("turn", (event) => turn(event.detail));
  for (const link of turns) link.addEventListener("click", (event) => { event.preventDefault(); turn(Number(link.dataset.turn)); });
  // In the strip the arrow keys go from picture to picture; at the slider they move the line.
  strip.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go(Math.min(picks.length - 1, Math.max(0, at + by)));
    picks[at].focus();
  });
  show();
  if (at) reveal();
  if (history.scrollRestoration === "manual") {  // as ``anew`` left it
    history.scrollRestoration = "auto";
    box.closest("section").scrollIntoView();
  }
}

/* ---------- the history ---------- */
function pickAll() {
  const button = $("[data-pick-all]");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const boxes = $$("input.pick"), all = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !all;
  });
}

/* ---------- a run that is still going ---------- */
// The page anew, at the picture that was looked at.
function anew() {
  const dialog = $("[data-zoom-dialog]");
  if (dialog && dialog.open) { dialog.addEventListener("close", anew, { once: true }); return; }
  if (seen) {
    history.scrollRestoration = "manual";  // else it would be at the height of before, where something else is now
    history.replaceState(null, "", seen);
  }
  location.reload();
}
function livePage() {
  const box = $("[data-live]");
  if (!box) return;
  const put = (name, text) => { const spot = $(`[data-${name}]`, box); if (spot.textContent !== text) spot.textContent = text; };
  const trouble = $("[data-trouble]", box), chip = $("[data-state]");
  const rounds = $("#rounds"), place = $("[data-grid]");
  const title = document.title, READY = ["", "images", "results"], shown = READY.indexOf(box.dataset.ready);
  let misses = 0, grid = "", owners = "";
  const tiles = $$("[data-owned]"), legend = $("[data-owners]");
  // Each picture has the colour of the worker that did it, and the worker below; before that its size.
  function tint(owned) {
    for (const tile of tiles) {
      const [name, tone] = owned[tile.dataset.owned] || [tile.dataset.size, 0], words = $("[data-who]", tile);
      if (words.textContent === name) continue;
      words.textContent = name;
      $("rect", tile).setAttribute("class", tone ? `own-${tone} own-strong-2` : "own-none");
    }
  }
  async function look() {
    let wait = 700;
    const since = performance.now();
    try {
      const answer = await fetch(box.dataset.live, { headers: { Accept: "application/json" } });
      if (answer.status === 404) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const run = await answer.json();
      misses = 0;
      trouble.hidden = true;
      // Once its files are checked, the page has pictures to show, and perhaps refused files; then results.
      const more = shown >= 0 && READY.indexOf(run.ready) > shown;
      if (run.final || more || (chip.textContent === "checking" && run.state !== "checking")) { anew(); return; }
      if (chip.textContent !== run.state) { chip.textContent = run.state; chip.className = `state is-${run.state}`; }
      put("now", run.now);
      put("detail", run.detail ? `, ${run.detail}` : "");
      put("left", run.left);
      put("gone", run.gone ? `${run.left ? ", " : ""}${run.gone}` : "");
      put("passes", run.passes || "");
      if (run.grid !== grid) { grid = run.grid; place.innerHTML = grid; rounds.hidden = !grid.trim(); }
      if (legend && run.owners !== undefined && run.owners !== owners) { owners = run.owners; legend.innerHTML = owners; tint(run.owned); }
      document.title = run.state === "running" ? `${Math.round(run.share * 100)}${NBSP}% – ${title}` : title;
      const bar = $("[data-share]", box);
      bar.value = run.share * 100;
      bar.textContent = `${Math.round(run.share * 100)}${NBSP}%`;
      wait = Math.max(wait, 10 * (performance.now() - since));  // a busy server is asked less often,
      wait *= 0.8 + 0.4 * Math.random();  // and not by all at once
    } catch {
      misses += 1;
      if (misses > 2) {
        trouble.textContent = "The server does not answer. This page keeps asking; the run goes on if the server does.";
        trouble.hidden = false;
      }
      wait = Math.min(10000, 700 * 2 ** misses);
    }
    setTimeout(look, wait);
  }
  setTimeout(look, 300);
}

/* ---------- the form ---------- */
const size = (bytes) => bytes < 1e6 ? `${bytes ? Math.max(1, Math.round(bytes / 1e3)) : 0}${NBSP}kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)}${NBSP}MB` : `${(bytes / 1e9).toFixed(1)}${NBSP}GB`;
const counted = (n, thing) => `${n.toLocaleString("en")} ${thing}${n === 1 ? "" : "s"}`;
const MODES = { sequential: "Run sequentially", parallel: "Run one technique and the baseline", compare: "Compare the techniques", scale: "Scale one technique" };
const JUNK = /^(\.|Thumbs\.db$|desktop\.ini$)/i;

// What surely cannot be used is said at once; everything else the server judges by its content.
function whyNot(file, types) {
  if (file.size === 0) return "The file is empty.";
  if (JUNK.test(file.name)) return "Not an image.";
  if (/\.(heic|heif)$/i.test(file.name)) return "HEIC is not read here. Save it as JPEG first.";
  if (file.type && !types.includes(file.type) && !/\.(jpe?g|jfif|png|webp|gif|tiff?|bmp|dib)$/i.test(file.name)) return "Not an image type that is read here.";
  return "";
}

// Every file below what was dropped: a folder hands out its entries a hundred at a time.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  if (!entries.some((entry) => entry && entry.isDirectory)) return [...transfer.files];
  const found = [];
  async function walk(entry) {
    if (entry.isFile) {
      const file = await new Promise((done, fail) => entry.file(done, fail)).catch(() => null);
      if (file) { file.place = entry.fullPath.slice(1); found.push(file); }
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail)).catch(() => []);
      if (!some.length) return;
      for (const child of some) await walk(child);
    }
  }
  for (const entry of entries) if (entry) await walk(entry);
  return found.sort((a, b) => a.place.localeCompare(b.place, "en", { numeric: true }));
}

// Its name with the folders it was chosen or dropped with.
const placeOf = (file) => file.place || file.webkitRelativePath || file.name;

/* ----- errors at their field ----- */
function whyWrong(field) {
  const label = field.labels[0].textContent, hint = document.getElementById(`${field.id}-h`).dataset.hint;
  return `${label} cannot be “${field.value}”. Allowed: ${"odd" in field.dataset ? hint : `${field.min} to ${field.max}${field.step === "1" ? ", whole" : ""}`}.`;
}
// Where an odd number is wanted, or 0.
function even(field) { return "odd" in field.dataset && Number(field.value) !== 0 && Number(field.value) % 2 === 0; }
function markField(field, message) {
  const hint = document.getElementById(`${field.id}-h`), fold = field.closest("details");
  if (fold) fold.open = true;
  field.classList.add("is-invalid");
  field.setAttribute("aria-invalid", "true");
  if (hint) { hint.textContent = message; hint.classList.add("field-error"); }
}
function clearField(field) {
  if (!field.classList.contains("is-invalid")) return;
  field.classList.remove("is-invalid");
  field.removeAttribute("aria-invalid");
  const hint = document.getElementById(`${field.id}-h`);
  if (hint && hint.dataset.hint) { hint.textContent = hint.dataset.hint; hint.classList.remove("field-error"); }
}

function runForm() {
  const form = $("[data-run-form]");
  if (!form) return;
  const list = $("[data-files]"), box = $("[data-chosen]"), drop = $("[data-drop]"), input = $("#images"), folder = $("#folder");
  const types = input.accept.split(","), most = Number(form.dataset.maxFiles), mostBytes = Number(form.dataset.maxBytes);
  const run = $("[data-run]"), problem = $("[data-problem]");
  const kept = Number(($("[data-kept]", form) || { dataset: {} }).dataset.kept || 0);  // images of a run before
  form.noValidate = true;
  let files = [], refusals = new Map(), sending = null;

  const good = () => files.filter((file) => !whyNot(file, types));
  const bytesOf = (some) => some.reduce((sum, file) => sum + file.size, 0);
  function tooMuch() {
    const some = good();
    if (some.length > most) return `One run takes up to ${counted(most, "file")}; these are ${some.length.toLocaleString("en")}. Remove some.`;
    if (bytesOf(some) > mostBytes) return `One run takes up to ${size(mostBytes)}; these are ${size(bytesOf(some))}. Remove some.`;
    return "";
  }
  function tell() {
    const some = good(), start = document.createElement("b"), out = files.length - some.length, much = tooMuch();
    start.textContent = MODES[new FormData(form).get("mode")];
    $("[data-say]").replaceChildren(...(much ? [much] : [start, some.length ? ` on ${counted(some.length, "image")}, ${size(bytesOf(some))}.` : kept ? ` on the ${counted(kept, "image")} of that run.` : ". No images chosen yet.", out ? ` ${counted(out, "file")} left out.` : ""]));
    $("[data-chosen-title]").textContent = `${counted(files.length, "file")} chosen, ${size(bytesOf(files))}`;
    run.disabled = Boolean(much);
    form.dispatchEvent(new CustomEvent("images", { detail: some[0] || null }));  // for preview.js
  }
  function row(file) {
    const item = $("[data-row]").content.firstElementChild.cloneNode(true), why = $(".file-why", item);
    const text = whyNot(file, types) || refusals.get(file) || "";
    $(".file-name", item).textContent = placeOf(file);
    $(".file-size", item).textContent = size(file.size);
    $("button", item).setAttribute("aria-label", `Remove ${placeOf(file)}`);
    $("button", item).addEventListener("click", () => {
      const at = files.indexOf(file);
      files.splice(at, 1);
      item.remove();
      box.hidden = !files.length;
      tell();
      const next = list.children[Math.min(at, list.children.length - 1)];
      (next ? $("button", next) : input).focus();
    });
    why.hidden = !text;
    item.classList.toggle("is-bad", Boolean(text));
    $("span", why).textContent = text;
    return item;
  }
  function draw() {
    box.hidden = !files.length;
    list.replaceChildren(...files.map(row));
    tell();
  }
  const add = (more) => { files.push(...more); clearProblem(); draw(); };

  input.addEventListener("change", () => { add([...input.files]); input.value = ""; });
  folder.addEventListener("change", () => { add([...folder.files]); folder.value = ""; });
  form.addEventListener("refused", (event) => {  // by preview.js
    const at = files.indexOf(event.detail.file);
    refusals.set(event.detail.file, event.detail.why);
    if (at >= 0) list.children[at].replaceWith(row(event.detail.file));
  });
  $("[data-clear]").addEventListener("click", () => { files = []; draw(); input.focus(); });
  form.addEventListener("change", (event) => { if (event.target.name === "mode") tell(); clearField(event.target); });
  addEventListener("paste", (event) => { if (event.clipboardData && event.clipboardData.files.length) add([...event.clipboardData.files]); });
  // Anywhere on the page, so that a file that misses the field does not replace the page.
  let depth = 0;
  const over = (on) => drop.classList.toggle("is-over", on);
  addEventListener("dragenter", (event) => { event.preventDefault(); depth += 1; over(true); });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) over(false); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => { event.preventDefault(); depth = 0; over(false); if (!sending) add(await dropped(event.dataTransfer)); });

  /* ----- what is wrong ----- */
  function clearProblem() {
    problem.hidden = true;
    refusals = new Map();
    $$(".is-invalid", form).forEach(clearField);
    $("#images-h").classList.remove("field-error");
  }
  function showProblem(error) {
    clearProblem();
    const field = error.field && error.field !== "images" ? document.getElementById(error.field) : null;
    if (error.files) {
      const sent = good();
      error.files.forEach((bad, index) => { if (sent[index]) refusals.set(sent[index], bad.error); });
      draw();
    }
    $("[data-problem-text]").textContent = error.message;
    problem.hidden = false;
    if (field && field.matches("input, select")) {
      markField(field, error.message);
      field.focus();
    } else problem.focus();
  }

  /* ----- sending ----- */
  const upload = $("[data-upload]"), bar = $("[data-upload-bar]"), saying = $("[data-upload-say]"), stop = $("[data-upload-cancel]");
  function busy(on) {
    upload.hidden = stop.hidden = !on;
    $("[data-say]").hidden = on;
    for (const button of $$("button:not([data-upload-cancel])", form)) button.disabled = on;
    if (!on) tell();
  }
  const unused = (field) => Boolean(field.closest(".f-technique, .f-techniques, .f-workers, .f-guess")) && !field.offsetParent;
  function body(submitter) {
    const data = new FormData(form);
    data.delete("images");
    for (const field of form.elements) if (unused(field)) data.delete(field.name);
    if (submitter) { if (submitter.name) data.append(submitter.name, submitter.value); }
    else for (const file of good()) data.append("images", file, placeOf(file));
    return data;
  }
  function send(submitter) {
    const request = sending = new XMLHttpRequest(), start = performance.now();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    bar.value = 0;
    saying.textContent = "Starting…";
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      bar.value = 100 * event.loaded / event.total;
      const gone = (performance.now() - start) / 1000, left = gone * (event.total / event.loaded - 1);
      saying.textContent = `Sending ${size(event.loaded)} of ${size(event.total)}${gone > 2 && left > 1 ? `, about ${Math.ceil(left)}${NBSP}s left` : ""}`;
    });
    request.upload.addEventListener("load", () => {
      bar.removeAttribute("value");
      const count = good().length;
      saying.textContent = submitter && submitter.name ? "Starting…" : `Sent. Checking ${counted(count, "file")}…`;
    });
    request.addEventListener("load", () => {
      if (request.status === 202 && request.response) { location.assign(request.response.url); return; }
      const error = (request.response && request.response.error) || { message: "The server gave an answer that cannot be read. Try again." };
      finish(() => showProblem(error));
    });
    request.addEventListener("error", () => finish(() => showProblem({ message: "The server could not be reached, so nothing was sent. Your files and settings are still here; try again." })));
    request.addEventListener("abort", () => finish(() => run.focus()));
    busy(true);
    stop.focus();
    request.send(body(submitter));
  }
  /* ----- the settings to copy ----- */
  const typed = $("[data-typed]", form);
  let asked = 0, soon = 0;
  // Lines break between words alone, not at a dash.
  function words(text) {
    return text.split(" ").flatMap((word, at) => {
      const span = document.createElement("span");
      span.className = "word";
      span.textContent = word;
      return at ? [" ", span] : [span];
    });
  }
  async function tellTyped() {
    const mine = asked += 1, wrong = $("[data-typed-wrong]", typed), data = body({ name: "" });
    for (const name of ["images", "images_of"]) data.delete(name);
    let said = "The server could not be reached, so these are not the settings of the form.";
    try {
      const answer = await fetch(`${typed.dataset.typed}?${new URLSearchParams(data)}`, { headers: { Accept: "application/json" } });
      const found = await answer.json();
      if (mine !== asked) return;
      said = found.error ? found.error.message : "";
      if (!said) for (const name of ["link", "command", "curl"]) {
        const spot = document.getElementById(`typed-${name}`);
        if (spot) spot.replaceChildren(...words(found[name]));
      }
    } catch { if (mine !== asked) return; }
    wrong.textContent = said;
    wrong.hidden = !said;
    for (const spot of $$(".code", typed)) spot.hidden = Boolean(said);
  }
  const typedSoon = () => { clearTimeout(soon); if (typed && typed.open) soon = setTimeout(tellTyped, 250); };
  if (typed) for (const [what, on] of [["toggle", typed], ["input", form], ["change", form]]) on.addEventListener(what, typedSoon);

  function finish(then) { sending = null; busy(false); then(); }
  stop.addEventListener("click", () => sending && sending.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (sending) return;
    const submitter = event.submitter && event.submitter.name ? event.submitter : null;
    clearProblem();
    // Said before anything is sent. The browser's own bubbles cannot point at a field in a closed fold.
    const wrong = [...form.elements].find((field) => field.matches("input, select") && (!field.checkValidity() || even(field)) && !unused(field));
    if (wrong) {
      showProblem({ message: whyWrong(wrong), field: wrong.id });
      return;
    }
    if (!submitter && tooMuch()) { showProblem({ message: tooMuch(), field: "images" }); return; }
    if (!submitter && !good().length && !kept) { showProblem({ message: "Choose at least one image, or run with sample images.", field: "images" }); return; }
    send(submitter);
  });
  // Back from the run's page the browser may show this one as it was left: in the middle of sending.
  addEventListener("pageshow", (event) => { if (event.persisted && sending) { sending = null; busy(false); } });
  const invalid = $(".is-invalid", form);
  if (invalid) invalid.focus(); else if (!problem.hidden) problem.focus();
  tell();
}

addEventListener("DOMContentLoaded", () => { themeButton(); copyButtons(); timelines(); viewer(); pickAll(); livePage(); runForm(); });
