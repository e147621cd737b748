// The list of runs: thousands of rows of which only those in sight are there (virtual_rows.js), kept live. The server sorts, filters
// and groups.
"use strict";
(() => {
  const table = /** @type {HTMLTableElement | null} */ (document.getElementById("runs"));
  const status = document.getElementById("ticked");
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("act"));
  const REFRESH_MS = 1000; // between two looks for what changed, at the least

  if (!table) { // no run yet, or none that is like the filter: the first one brings the list
    const empty = /** @type {Part | null} */ (document.querySelector(".nothing[data-events]"));
    if (empty) Evenhand.follow(empty.dataset.events, { state: (state) => { if (state.changed.length || state.count > Number(empty.dataset.count)) location.reload(); } });
    return;
  }

  const body = table.tBodies[0];
  /** @type {Set<string>} ticked runs, of which some may be out of sight */
  const ticked = new Set();

  // Ticks outlast their rows: those out of sight go along as hidden fields.
  const say = () => {
    if (!status || !form) return;
    status.textContent = ticked.size ? `${ticked.size} ticked.` : "Tick runs in the list.";
    for (const field of form.querySelectorAll("input[data-ticked]")) field.remove();
    for (const id of ticked) {
      if (body.querySelector(`input[name="session"][value="${id}"]`)) continue;
      const field = Object.assign(document.createElement("input"), { type: "hidden", name: "session", value: id });
      field.dataset.ticked = "";
      form.append(field);
    }
  };
  body.addEventListener("change", (event) => {
    const box = /** @type {HTMLInputElement} */ (event.target);
    if (box.name !== "session") return;
    if (box.checked) ticked.add(box.value);
    else ticked.delete(box.value);
    for (const other of /** @type {NodeListOf<HTMLInputElement>} */ (body.querySelectorAll(`input[name="session"][value="${box.value}"]`))) other.checked = box.checked;
    say();
  });
  const restoreTicks = () => {
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (body.querySelectorAll("input[name=session]"))) box.checked = ticked.has(box.value);
    say();
  };
  if (Number(table.dataset.total) > Number(table.dataset.window)) document.getElementById("pager")?.remove();
  const rows = Evenhand.virtualRows({
    table,
    body,
    block: Number(table.dataset.window),
    total: Number(table.dataset.total),
    height: () => /** @type {HTMLElement | null} */ (body.querySelector("tr.run-row"))?.offsetHeight ?? 56,
    address: () => table.dataset.rows ?? "",
    drawn: restoreTicks,
  });
  say();

  let timer = 0, last = 0;
  const refresh = () => {
    timer = 0;
    last = Date.now();
    rows.refresh().catch(() => {});
  };
  let isFirst = true; // what changed between the page and the stream's first word is in no word
  Evenhand.follow(/** @type {string} */ (table.dataset.events), {
    state: (state) => {
      const isNews = isFirst || state.changed.length > 0;
      isFirst = false;
      if (isNews && !timer) timer = setTimeout(refresh, Math.max(0, last + REFRESH_MS - Date.now()));
    },
  });
})();
