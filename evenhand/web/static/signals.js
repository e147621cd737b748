// Process signals of the tune page, where the study records them and its terms say so: how often something is pasted into the
// form, how often and how long the page is left, for how many seconds each value and reason is typed. Never what.
"use strict";
(() => {
  const PAUSE = 5000; // ms: whoever types nothing for longer thinks, and does not type
  const form = /** @type {Part} */ (document.querySelector("#form"));
  const place = /** @type {Part} */ (form.elements.namedItem("signals"));
  const fresh = () => ({ pastes: 0, away: 0, awayMs: 0, values: {}, reasons: {} });
  let seen = fresh();
  /** @type {number | null} when the page was left */
  let left = null;
  let [last, at] = ["", 0]; // the field that was typed in, and when

  const leave = () => {
    if (left !== null) return;
    left = performance.now();
    seen.away += 1;
  };
  const come = () => {
    if (left === null) return;
    seen.awayMs += performance.now() - left;
    left = null;
  };
  addEventListener("blur", leave);
  addEventListener("focus", come);
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : come()));
  form.addEventListener("paste", () => { seen.pastes += 1; });
  form.addEventListener("input", (event) => {
    const [kind, ...rest] = /** @type {Part} */ (event.target).name.split(".");
    const times = { value: seen.values, other: seen.reasons, reason: seen.reasons }[kind];
    if (!times || !rest.length) return;
    const [name, now, field] = [rest.join("."), performance.now(), `${kind}.${rest.join(".")}`];
    const passed = field === last ? now - at : 0;
    times[name] = (times[name] ?? 0) + (passed < PAUSE ? passed : 0);
    [last, at] = [field, now];
  });

  const seconds = (ms) => Math.round(ms / 100) / 10;
  const all = (times) => Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, seconds(ms)]));
  // Before the form's own listener reads it.
  form.addEventListener("submit", () => {
    come();
    place.value = JSON.stringify({ pastes: seen.pastes, away: seen.away, away_seconds: seconds(seen.awayMs), values: all(seen.values), reasons: all(seen.reasons) });
  }, true);
  // A trial was accepted: the next one's begin.
  form.addEventListener("accepted", () => {
    seen = fresh();
    last = "";
  });
})();
