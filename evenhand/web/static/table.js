// A table of texts and links. Fills window.Evenhand.table: (heads, rows) to a table element.
"use strict";
(() => {
  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.table = (heads, rows) => {
    const table = document.createElement("table");
    const row = (contents, tag) => {
      const line = document.createElement("tr");
      line.append(...contents.map((content) => {
        const cell = document.createElement(tag);
        cell.append(content);
        if (tag === "th") cell.scope = "col";
        return cell;
      }));
      return line;
    };
    table.createTHead().append(row(heads, "th"));
    table.createTBody().append(...rows.map((contents) => row(contents, "td")));
    return table;
  };
})();
