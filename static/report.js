"use strict";
// The button of a report that is shown on the site; without scripts the browser’s own menu prints.
const print = document.querySelector("[data-print]");
print.hidden = false;
print.addEventListener("click", () => window.print());
// On a narrow screen wide tables scroll: then a keyboard gets into them, too.
const watch = new ResizeObserver(([{ target }]) => {
  for (const table of target.querySelectorAll("table")) {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0; else table.removeAttribute("tabindex");
  }
});
watch.observe(document.querySelector("main"));
