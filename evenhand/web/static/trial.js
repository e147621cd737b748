// The training loss on a trial's own page.
"use strict";
(async () => {
  const host = /** @type {Part | null} */ (document.getElementById("chart-loss"));
  if (!host) return;
  const loss = Evenhand.charts.loss(host, { kind: host.dataset.kind });
  const answer = await fetch(/** @type {string} */ (host.dataset.points), { headers: { accept: "application/json" } });
  loss.set((await answer.json()).points);
})();
