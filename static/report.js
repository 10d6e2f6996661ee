"use strict";
// The button of a report that is shown on the site; without scripts the browser’s own menu prints.
const print = document.querySelector("[data-print]");
print.hidden = false;
print.addEventListener("click", () => window.print());
// On a narrow screen wide tables scroll: then a keyboard gets into them, too.
for (const table of document.querySelectorAll("table")) {
  if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
}
