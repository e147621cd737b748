// Cards as they are worked out: each is put in as it comes, and none is moved or closed that somebody reads.
"use strict";
(() => {
  const WORKING_MS = 1200; // between two looks while something is worked out
  const LIVE_MS = 20000; // while the run goes on
  const page = /** @type {HTMLElement} */ (document.querySelector("[data-part]"));
  const host = /** @type {HTMLElement} */ (document.getElementById("cards"));
  const address = String(page.dataset.part);
  const state = () => /** @type {HTMLElement} */ (host.querySelector(".cards-state"));
  const isWorking = () => Boolean(state().dataset.working);

  /** @param {Element} now @param {Element} fresh what is open stays open */
  const replace = (now, fresh) => {
    const open = [...now.querySelectorAll("details")].map((part) => part.open);
    if (now.outerHTML === fresh.outerHTML) return;
    [...fresh.querySelectorAll("details")].forEach((part, at) => { part.open = open[at] ?? false; });
    if (!now.contains(document.activeElement)) now.replaceWith(fresh);
  };

  /** @param {string} html */
  const show = (html) => {
    const box = document.createElement("template");
    box.innerHTML = html;
    const cards = /** @type {HTMLElement} */ (host.querySelector(".understanding"));
    state().replaceWith(/** @type {Element} */ (box.content.querySelector(".cards-state")));
    for (const fresh of box.content.querySelectorAll(".finding")) {
      const now = document.getElementById(fresh.id);
      if (now) replace(now, fresh);
      else cards.append(fresh);
    }
    const silent = box.content.querySelector(".silent");
    const before = host.querySelector(".silent");
    if (silent && before) replace(before, silent);
    else if (silent) host.append(silent);
  };

  const look = async () => {
    if (document.hidden) return;
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (answer.ok) show(await answer.text());
  };

  const next = () => {
    if (isWorking() || !page.dataset.over) setTimeout(() => look().catch(() => {}).finally(next), isWorking() ? WORKING_MS : LIVE_MS);
  };
  next();
})();
