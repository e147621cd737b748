// A table of thousands of rows of which only those in sight are there. Fills Evenhand.virtualRows.
//
//   const rows = Evenhand.virtualRows({ table, body, address: () => "/runs/rows?q=", block: 100, total: 5000, height: () => 56, drawn });
//   rows.refresh();                // something changed: what is in sight is fetched anew
//
// All rows are of one height, and a row's place in the server's order is its number here. They are fetched in blocks and kept; above
// and below the blocks around what is in sight lie two empty rows as high as what is left out. What has not come yet has rows with
// their numbers, so that nothing is ever blank. `scroller` is what scrolls; without it the page does.
"use strict";
(() => {
  const MOST_BLOCKS = 30; // that are kept
  const FAR_BLOCKS = 3; // blocks beside those in sight within which one is never forgotten

  /** @type {EvenhandScripts["virtualRows"]} */
  const virtualRows = ({ table, body, block, total: first, height, address, scroller = null, drawn = () => {}, changed = () => {} }) => {
    const columns = table.tHead?.rows[0].cells.length ?? 1;
    /** @type {Map<number, Element[]>} */
    const blocks = new Map();
    /** @type {Map<number, Promise<void>>} blocks that are under way */
    const loading = new Map();
    let total = first, generation = 0, shown = "", asked = false;

    const template = document.createElement("template");
    const parsed = (html) => {
      template.innerHTML = html;
      return [...template.content.children];
    };
    const gap = (pixels) => {
      const row = document.createElement("tr");
      row.className = "run-gap";
      const cell = document.createElement("td");
      cell.colSpan = columns;
      cell.style.height = `${pixels}px`;
      row.append(cell);
      return row;
    };
    const waiting = (number) => {
      const last = Math.min(total, (number + 1) * block);
      return Array.from({ length: Math.max(0, last - number * block) }, (_, place) => {
        const row = document.createElement("tr");
        row.className = "run-row run-waits";
        const cell = document.createElement("td");
        cell.colSpan = columns;
        cell.textContent = `${(number * block + place + 1).toLocaleString("en")} …`;
        row.append(cell);
        return row;
      });
    };

    // Which blocks are in sight, with as much again above and below.
    const range = () => {
      const view = scroller ? scroller.clientHeight : innerHeight;
      const top = body.getBoundingClientRect().top - (scroller ? scroller.getBoundingClientRect().top : 0);
      const last = Math.max(0, Math.ceil(total / block) - 1);
      const at = (pixels) => Math.max(0, Math.min(last, Math.floor(pixels / height() / block)));
      return [at(-top - view), at(-top + 2 * view)];
    };
    const fetchBlock = async (number) => {
      const mine = generation;
      const answer = await fetch(`${address()}&offset=${number * block}&count=${block}`, { headers: { "hx-request": "true" } });
      const html = await answer.text();
      if (!answer.ok || mine !== generation) return;
      const now = Number(answer.headers.get("x-evenhand-rows"));
      if (now !== total) { total = now; shown = ""; changed(total); }
      blocks.set(number, parsed(html));
    };
    const load = (number) => {
      const under = loading.get(number) ?? fetchBlock(number).finally(() => loading.delete(number));
      loading.set(number, under);
      return under;
    };
    const forget = (low, high) => {
      for (const number of blocks.keys()) {
        if (blocks.size <= MOST_BLOCKS) return;
        if (number < low - FAR_BLOCKS || number > high + FAR_BLOCKS) blocks.delete(number);
      }
    };

    // The rows that are there; those that are missing are fetched, and drawn when they come.
    const draw = () => {
      const [low, high] = range();
      const wanted = Array.from({ length: high - low + 1 }, (_, place) => low + place);
      const state = wanted.map((number) => `${number}${blocks.has(number) ? "" : "?"}`).join(" ");
      if (state !== shown) {
        shown = state;
        const focused = body.contains(document.activeElement) ? document.activeElement : null;
        const below = Math.max(0, total - (high + 1) * block);
        body.replaceChildren(
          ...(low ? [gap(low * block * height())] : []),
          ...wanted.flatMap((number) => blocks.get(number) ?? waiting(number)),
          ...(below ? [gap(below * height())] : []),
        );
        if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
        drawn();
      }
      for (const number of wanted) if (!blocks.has(number)) load(number).then(draw, () => {});
      forget(low, high);
    };
    const soon = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; draw(); });
    };
    // What is in sight, fetched anew; the old rows stay until the new ones are there, and the focus stays where it was.
    const refresh = async () => {
      generation += 1;
      const mine = generation;
      loading.clear();
      const [low, high] = range();
      const before = new Map(blocks);
      await Promise.all(Array.from({ length: high - low + 1 }, (_, place) => fetchBlock(low + place)));
      if (mine !== generation) return;
      for (const [number, rows] of before) if (blocks.get(number) === rows) blocks.delete(number);
      const active = document.activeElement;
      const key = active instanceof HTMLElement && body.contains(active) ? active.closest("tr")?.dataset : undefined;
      const kind = active?.tagName;
      shown = "";
      draw();
      const row = key && [...body.rows].find((other) => other.dataset.run === key.run && other.dataset.trial === key.trial);
      if (row) /** @type {HTMLElement | null} */ (row.querySelector(kind ?? "a"))?.focus({ preventScroll: true });
    };

    blocks.set(0, [...body.rows]);
    if (first > block) {
      (scroller ?? window).addEventListener("scroll", soon, { passive: true });
      addEventListener("resize", soon, { passive: true });
      draw();
    }
    return {
      refresh,
      draw: soon,
      get total() { return total; },
      end: () => {
        generation += 1;
        (scroller ?? window).removeEventListener("scroll", soon);
        removeEventListener("resize", soon);
      },
    };
  };

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.virtualRows = virtualRows;
})();
