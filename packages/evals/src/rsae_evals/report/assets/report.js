"use strict";
// Enhancements; without them every table is readable, and every part and panel is shown.
document.documentElement.classList.add("js");

function sortBy(header) {
  const table = header.closest("table");
  const column = header.cellIndex;
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const key = (row) => {
    const text = row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
    return text === "" ? null : isNaN(text) ? text : Number(text);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  // A cell that does not apply stays last in either direction.
  rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : ascending ? compare(a, b) : compare(b, a)));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function select(tab, focus) {
  for (const other of tab.parentElement.children) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
}

// https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ with automatic activation.
function tabs(group) {
  const list = document.createElement("div");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", group.dataset.tabs);
  for (const panel of group.querySelectorAll(":scope > .panel")) {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = panel.id + "-tab";
    tab.textContent = panel.querySelector("h3").textContent;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    tab.addEventListener("click", () => select(tab, false));
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.tabIndex = 0;
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => {
    const all = [...list.children];
    const here = all.indexOf(document.activeElement);
    const last = all.length - 1;
    const to = { ArrowRight: here === last ? 0 : here + 1, ArrowLeft: here ? here - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(all[to], true);
  });
  group.prepend(list);
  select(list.firstElementChild, false);
}

for (const header of document.querySelectorAll("th[aria-sort]")) {
  header.querySelector("button").addEventListener("click", () => sortBy(header));
}
document.querySelectorAll("[data-tabs]").forEach(tabs);

// Only features with the words in a passage stay, their passages open.
function search(field, status) {
  const wanted = field.value.trim().toLowerCase();
  let found = 0;
  for (const card of document.querySelectorAll(".card")) {
    const passages = [...card.querySelectorAll(".contexts p")].map((p) => p.textContent.toLowerCase());
    const matches = !wanted || passages.some((text) => text.includes(wanted));
    card.hidden = !matches;
    card.querySelector("details").open = Boolean(wanted) && matches;
    found += matches;
  }
  status.textContent = wanted ? `${found} feature${found === 1 ? "" : "s"} on all tabs` : "";
}
for (const find of document.querySelectorAll(".find")) {
  find.hidden = false;
  const field = find.querySelector("input");
  field.addEventListener("input", () => search(field, find.querySelector("[role=status]")));
}

// Parts of the report are closed at first, and open while the page is printed.
const parts = [...document.querySelectorAll("details.part")];
for (const part of parts) part.open = false;
const printing = matchMedia("print");
let before = [];
function onPaper() {
  if (printing.matches) before = parts.map((part) => part.open);
  parts.forEach((part, index) => { part.open = printing.matches || before[index]; });
}
printing.addEventListener("change", onPaper);
if (printing.matches) onPaper();

// A link opens the part and the panel that it leads into; a link to a card opens its passages.
function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target) return;
  target.querySelector(":scope > details")?.setAttribute("open", "");
  for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  const panel = target.closest(".panel[hidden]");
  if (panel) select(document.getElementById(panel.id + "-tab"), false);
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
