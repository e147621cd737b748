// The board of a class: its rows are replaced as they change.
"use strict";
(() => {
  const board = /** @type {HTMLElement} */ (document.getElementById("board"));
  Evenhand.follow(location.pathname.replace(/\/board$/, "/events"), { board: (rows) => { board.innerHTML = rows; } });
})();
