// A trial's own page: the training loss, and why it was tried, which takes a moment to compute.
"use strict";
(async () => {
  const host = /** @type {Part | null} */ (document.getElementById("chart-loss"));
  if (!host) return;
  const loss = Evenhand.charts.loss(host, { kind: host.dataset.kind });
  const answer = await fetch(/** @type {string} */ (host.dataset.points), { headers: { accept: "application/json" } });
  loss.set((await answer.json()).points);
})();
(async () => {
  const host = /** @type {HTMLElement | null} */ (document.querySelector("[data-why]"));
  if (!host) return;
  const answer = await fetch(/** @type {string} */ (host.dataset.why));
  if (!answer.ok) return; // the link to it stays
  const card = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("why-card");
  if (card) host.replaceChildren(card);
})();
