"use strict";
// Three enhancements; without them every table is readable and every panel is shown.
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

// A link to a card opens the panel that it is in, and its passages.
function reveal() {
  const card = document.getElementById(location.hash.slice(1));
  card?.querySelector(":scope > details")?.setAttribute("open", "");
  const panel = card?.closest(".panel[hidden]");
  if (!panel) return;
  select(document.getElementById(panel.id + "-tab"), false);
  document.getElementById(location.hash.slice(1)).scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
