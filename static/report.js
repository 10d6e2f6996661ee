"use strict";
// The button of a report that is shown on the site; without scripts the browser’s own menu prints.
const print = document.querySelector("[data-print]");
print.hidden = false;
print.addEventListener("click", () => window.print());
