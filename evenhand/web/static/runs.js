// The list of runs: thousands of rows of which only those in sight are there, kept live.
//
// The server sorts, filters and groups; a row's place in that order is its number here. Rows are fetched in blocks of `window`
// rows and kept until something changes. Above and below the blocks in sight lie two empty rows as high as what is left out.
"use strict";
(() => {
  const table = /** @type {HTMLTableElement | null} */ (document.getElementById("runs"));
  const status = document.getElementById("ticked");
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("act"));
  const REFRESH_MS = 1000; // between two looks for what changed, at the least

  if (!table) return;

  const body = table.tBodies[0];
  const block = Number(table.dataset.window);
  const columns = table.tHead?.rows[0].cells.length ?? 1;
  /** @type {Map<number, string>} */
  const blocks = new Map();
  /** @type {Map<number, Promise<void>>} blocks that are under way */
  const loading = new Map();
  /** @type {Set<string>} ticked runs, of which some may be out of sight */
  const ticked = new Set();
  const many = Number(table.dataset.total) > block;
  let total = Number(table.dataset.total), generation = 0, draws = 0, pending = false, shownFrom = -1, shownTo = -1;

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

  const fetchBlock = async (number) => {
    const mine = generation;
    const answer = await fetch(`${table.dataset.rows}&offset=${number * block}&count=${block}`, { headers: { "hx-request": "true" } });
    const rows = await answer.text();
    if (!answer.ok || mine !== generation) return;
    total = Number(answer.headers.get("x-evenhand-rows"));
    blocks.set(number, rows);
  };
  const load = (number) => {
    const under = loading.get(number) ?? fetchBlock(number).finally(() => loading.delete(number));
    loading.set(number, under);
    return under;
  };

  const gap = (pixels, at) => {
    const row = document.createElement("tr");
    row.className = "run-gap";
    row.dataset.at = at;
    const cell = document.createElement("td");
    cell.colSpan = columns;
    cell.style.height = `${pixels}px`;
    row.append(cell);
    return row;
  };
  const rowHeight = () => {
    const row = /** @type {HTMLElement | null} */ (body.querySelector("tr.run-row"));
    return row ? row.offsetHeight : 56;
  };

  const draw = async (again = false) => {
    const height = rowHeight(), top = body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((-top - innerHeight) / height / block));
    const last = Math.max(first, Math.min(Math.ceil(total / block) - 1, Math.floor((-top + 2 * innerHeight) / height / block)));
    if (!again && first === shownFrom && last === shownTo && !pending) return;
    const wanted = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    pending = true;
    const mine = ++draws; // rows that come late must not replace those of a later look
    await Promise.all(wanted.filter((number) => !blocks.has(number)).map(load));
    if (mine !== draws || wanted.some((number) => !blocks.has(number))) return;
    pending = false;
    const focused = document.activeElement instanceof HTMLElement && body.contains(document.activeElement)
      ? document.activeElement.closest("tr")?.dataset.run : undefined;
    const kind = document.activeElement?.tagName;
    [shownFrom, shownTo] = [first, last];
    const parts = document.createElement("template");
    parts.innerHTML = wanted.map((number) => blocks.get(number)).join("");
    const below = Math.max(0, total - (last + 1) * block);
    body.replaceChildren(...(first ? [gap(first * block * height, "above")] : []), parts.content, ...(below ? [gap(below * height, "below")] : []));
    restoreTicks();
    if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`tr[data-run="${focused}"] ${kind}`))?.focus({ preventScroll: true });
  };

  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  if (many) {
    document.getElementById("pager")?.remove();
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon, { passive: true });
    draw(true);
  }
  say();

  let timer = 0, last = 0;
  const refresh = () => {
    timer = 0;
    last = Date.now();
    generation += 1;
    blocks.clear();
    loading.clear();
    draw(true);
  };
  Evenhand.follow(/** @type {string} */ (table.dataset.events), {
    state: (state) => {
      if (state.changed.length && !timer) timer = setTimeout(refresh, Math.max(0, last + REFRESH_MS - Date.now()));
    },
  });
})();
