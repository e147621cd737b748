// The board of a class: its rows, curves and clock follow what the server says.
"use strict";
(() => {
  /** @type {(selector: string) => Part} */
  const find = (selector) => /** @type {Part} */ (document.querySelector(selector));
  const [board, clock, chart] = [find("#board"), find("#class-clock"), find("#chart-leaders")];
  const leaders = Evenhand.charts.leaders(chart, { percent: chart.dataset.share === "yes", metric: chart.dataset.metric });
  leaders.set(JSON.parse(find("#curves").textContent));

  // Seconds between this machine's clock and the server's, which alone counts. Date.now goes on while the machine sleeps.
  const ahead = Date.now() / 1000 - Number(clock.dataset.now);
  /** @type {number | null} */
  let end = clock.dataset.end ? Number(clock.dataset.end) : null;
  const write = (selector, text) => { if (find(selector).textContent !== text) find(selector).textContent = text; };
  const tick = () => { if (end !== null) write("#class-left", Evenhand.clock(end - (Date.now() / 1000 - ahead))); };
  setInterval(tick, 250);

  const show = ({ rows, curves, clock: said }) => {
    board.innerHTML = rows;
    leaders.set(curves);
    end = said.ends_at;
    if (end === null) write("#class-left", said.big);
    else tick();
    write("#class-clock-words", said.small);
  };
  Evenhand.follow(location.pathname.replace(/\/board$/, "/events"), { board: show });
})();
