"use strict";
for (const table of /** @type {NodeListOf<Table>} */ (document.querySelectorAll("table[data-sortable]"))) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  // The number that a cell begins with (95.5 % ± 0.8 %, < 0.0001), else its words; cells without either come last.
  const read = (cell) => {
    const text = cell.textContent.trim().replace(/^[<>] /, ""), number = parseFloat(text);
    return text === "–" || text === "" ? null : /^[-−]?[\d.]/.test(text) && !Number.isNaN(number) ? number : text;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turn < 0 ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [read(row.cells[index]), row]);
      rows.sort(([a], [b]) => (a === null || b === null ? Number(a === null) - Number(b === null) : turn * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
