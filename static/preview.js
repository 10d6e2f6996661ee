"use strict";
// The form shows what the operations make of its first image while their parameters change. On the form's page alone,
// after app.js, whose functions it uses. The image is sent once; later requests name it by the token that came back.
const PAUSE = 250, AGAIN = 5000;
const short = (name) => name.length > 32 ? `${name.slice(0, 20)}…${name.slice(-11)}` : name;

// A slider to each number, for pointers: by keyboard the number itself moves. It reaches ten times what the form begins
// with, and beyond what is typed: the rest of a wide range is for rare pictures, and would leave no room for the others.
function slider(field) {
  const low = Number(field.min), high = Number(field.max), step = Number(field.step), start = Number(field.defaultValue);
  const slide = document.createElement("input");
  let top = high;
  Object.assign(slide, { type: "range", className: "form-range op-slide", min: 0, max: 1, step: "any", tabIndex: -1 });
  slide.setAttribute("aria-hidden", "true");
  function follow() {
    const value = Number(field.value);
    top = Math.min(high, Math.max(10 * start, 4 * value) || high);
    slide.value = Math.sqrt(Math.max(0, value - low) / (top - low));  // finer at the beginning
  }
  slide.addEventListener("input", (event) => {
    event.stopPropagation();
    const steps = Math.round((top - low) * slide.value ** 2 / step);
    field.value = Number((low + steps * step).toFixed(6));
    if (even(field)) field.value = Number(field.value) - 1;
    field.dispatchEvent(new CustomEvent("slide", { bubbles: true }));
  });
  slide.addEventListener("change", (event) => event.stopPropagation());
  field.addEventListener("input", follow);
  field.after(slide);
  follow();
}

function livePreview() {
  const form = $("[data-run-form]"), part = $("[data-preview]"), say = $("[data-preview-say]"), idle = say.textContent;
  const slots = $$("[data-preview-of]", part), fields = part.dataset.previewFields.split(" ");
  let file = null, token = "", timer = 0, asking = false, late = false;
  const due = new Set();  // operations whose pictures are not what the fields say
  const chain = $("[data-preview-chain]", part), typed = $("#operations", part);
  const boxOf = (name) => $(`[type=checkbox][name=operations][value="${name}"]`, part);
  const isTicked = (name) => name === chain.dataset.previewOf ? Boolean(name) : boxOf(name).checked;
  const named = (some) => some.map((slot) => slot.dataset.previewOf);

  // What the pictures say already is for those who do not see them.
  function tell(text, more = "") {
    const unseen = document.createElement("span");
    unseen.className = "visually-hidden";
    unseen.textContent = more;
    if (say.textContent !== text + more) say.replaceChildren(text, unseen);
  }
  function soon(wait = PAUSE) { clearTimeout(timer); timer = setTimeout(ask, wait); }
  const unmark = () => $$(".is-invalid", part).forEach(clearField);
  function show(on) {
    part.classList.toggle("is-previewed", on);
    for (const slot of slots) {
      slot.hidden = !on || !slot.dataset.previewOf;
      $("img", slot).removeAttribute("src");
      $("figcaption", slot).textContent = "";
    }
  }
  // The first chain that is typed, as soon as there is one.
  function rename() {
    const names = typed.value.split(",")[0].toLowerCase().split("+").map((name) => name.trim());
    const name = names.length > 1 && names.every((one) => one && boxOf(CSS.escape(one))) ? names.join("+") : "";
    if (name === chain.dataset.previewOf) return;
    chain.dataset.previewOf = name;
    chain.hidden = !name || !part.classList.contains("is-previewed");
    $("img", chain).removeAttribute("src");
    $("figcaption", chain).textContent = "";
  }
  function moved(target) {
    const card = target.closest(".op, .chain"), names = named(card ? $$("[data-preview-of]", card) : slots);
    for (const name of named(slots)) if ([name, ...name.split("+")].some((one) => names.includes(one))) due.add(name);
  }
  function body(asked, names) {
    const data = new FormData(form);
    data.delete("images");
    data.set("operations", names.join(","));
    if (token) data.append("token", token); else data.append("images", asked, asked.name);
    return data;
  }
  async function put(picture, name) {
    const slot = slots.find((one) => one.dataset.previewOf === picture.operation), next = new Image();
    if (!slot) return;  // another chain is typed by now
    next.src = picture.source;
    await next.decode();  // so that the old picture stays until the new one can be seen
    $("img", slot).src = next.src;
    $("img", slot).alt = `${name}, ${picture.label}`;
    $("figcaption", slot).textContent = picture.said;
  }
  // Both give the milliseconds after which to ask again, null for not by itself.
  async function shown(preview, name) {
    unmark();
    await Promise.all(preview.pictures.map((picture) => put(picture, name)));
    part.classList.remove("is-stale");
    tell([`Shown small: ${short(name)}, ${preview.size}.`, ...preview.notes].join(" "), preview.pictures.map((picture) => picture.said && ` ${picture.said}.`).join(""));
    return null;
  }
  function refused(status, error, sent) {
    if (status === 404 && sent !== file) return 0;  // it was kept too long ago: send it again
    part.classList.add("is-stale");
    tell(error.message);
    if (status === 409 || status === 429) return AGAIN;
    const field = error.field ? document.getElementById(error.field) : null;
    if (error.field === "images") form.dispatchEvent(new CustomEvent("refused", { detail: { file, why: error.message } }));
    else if (field && field.matches("input, select")) { unmark(); markField(field, error.message); }
    return null;
  }
  async function ask() {
    clearTimeout(timer);
    late = asking || document.hidden;
    const names = named(slots).filter((name) => due.has(name) && isTicked(name));
    if (late || !file || !names.length) return;
    const wrong = $$("input, select", part).find((field) => !field.checkValidity() || even(field));
    if (wrong) { refused(400, { message: whyWrong(wrong), field: wrong.id }, null); return; }
    const asked = file, sent = token ? null : asked;
    asking = true;
    part.setAttribute("aria-busy", "true");
    if (sent) tell(`Sending ${short(asked.name)}…`);
    for (const name of names) due.delete(name);
    const again = () => { for (const name of names) due.add(name); };
    let wait = null;
    try {
      const answer = await fetch(part.dataset.preview, { method: "POST", headers: { Accept: "application/json" }, body: body(asked, names) });
      const preview = await answer.json();
      if (asked === file) {
        token = preview.token || (preview.error && preview.error.token) || "";
        if (preview.error) again();
        wait = preview.error ? refused(answer.status, preview.error, sent) : await shown(preview, asked.name);
      }
    } catch {
      again();
      part.classList.add("is-stale");
      tell("The server could not be reached, so there is no preview. It is asked again with the next change.");
    }
    asking = false;
    part.removeAttribute("aria-busy");
    if (late || asked !== file) ask(); else if (wait !== null) soon(wait);
  }

  form.addEventListener("images", (event) => {
    if (event.detail === file) return;
    file = event.detail;
    token = "";
    unmark();
    moved(form);
    show(Boolean(file));
    tell(file ? `Sending ${short(file.name)}…` : idle);
    soon(0);
  });
  form.addEventListener("input", (event) => {
    if (!fields.includes(event.target.name)) return;
    if (event.target === typed) rename();
    moved(event.target);
    soon();
  });
  form.addEventListener("slide", (event) => { moved(event.target); ask(); });  // one request follows the other while it moves
  $$(".param input[type=number]", part).forEach(slider);
  rename();
  form.addEventListener("change", () => { if (part.classList.contains("is-stale")) soon(); });  // app.js cleared the field
  document.addEventListener("visibilitychange", () => { if (late && !document.hidden) soon(); });
}

addEventListener("DOMContentLoaded", livePreview);
