// One event stream of the page, that survives a lost connection, a restarted server and a hidden tab.
//
//   const stop = Evenhand.follow("/studies/1/events", { state: (data) => ..., points: (data) => ... });
//
// Handlers get parsed JSON. The id of the last event goes back to the server as `after`, so that it sends what is missing.
"use strict";
(() => {
  const FIRST_WAIT = 500, LONGEST_WAIT = 10000; // ms between two tries
  const SILENCE = 25000; // ms without a sign of life after which the connection counts as lost; the server speaks every 10 s
  const SHOWN_AFTER = 1200; // ms for which a lost connection is not worth a word: the server may only have been restarted
  const REFUSED = new Set([401, 403, 404]);

  // A button that is replaced between press and release is not clicked: what arrives while a pointer is down waits for its release.
  const LONGEST_PRESS = 5000; // ms after which a release is held to be lost
  const waiting = [];
  let pressed = 0;
  const release = () => {
    clearTimeout(pressed);
    pressed = 0;
    for (const deliver of waiting.splice(0)) deliver();
  };
  addEventListener("pointerdown", () => {
    clearTimeout(pressed);
    pressed = setTimeout(release, LONGEST_PRESS);
  }, true);
  // The click comes after the release, in the same turn of the browser's loop or the next.
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { if (pressed) setTimeout(release, 0); }, true);
  const unpressed = (deliver) => {
    if (pressed) waiting.push(deliver);
    else deliver();
  };

  const follow = (url, handlers) => {
    const banner = document.getElementById("connection");
    /** @type {EventSource | null} */
    let source = null;
    let last = "", wait = FIRST_WAIT, timer = 0, shown = 0, watch = 0, ended = false;

    const address = () => {
      const full = new URL(url, location.href);
      if (last) full.searchParams.set("after", last);
      return full;
    };
    const say = (text) => {
      clearTimeout(shown);
      if (banner && banner.textContent !== text) banner.textContent = text;
      if (banner) banner.hidden = !text;
    };
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(lost, SILENCE);
    };
    const close = () => {
      clearTimeout(timer);
      clearTimeout(watch);
      source?.close();
      source = null;
    };
    const open = () => {
      if (ended || source || document.hidden) return;
      clearTimeout(timer);
      const opened = source = new EventSource(address());
      opened.onopen = () => { wait = FIRST_WAIT; say(""); alive(); };
      opened.onerror = lost;
      opened.addEventListener("alive", alive);
      for (const [name, handler] of Object.entries(handlers)) {
        opened.addEventListener(name, (event) => {
          alive();
          if (event.lastEventId) last = event.lastEventId;
          unpressed(() => handler(JSON.parse(event.data)));
        });
      }
    };
    function lost() {
      close();
      if (ended || document.hidden) return;
      clearTimeout(shown);
      if (banner?.hidden) shown = setTimeout(() => say("Connection lost. Reconnecting by itself; nothing is lost."), SHOWN_AFTER);
      timer = setTimeout(retry, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
    // An EventSource does not say why it failed. A stream that the server refuses stays refused: this browser is signed out.
    const retry = async () => {
      const asked = new AbortController();
      try {
        const answer = await fetch(address(), { signal: asked.signal });
        asked.abort();
        if (REFUSED.has(answer.status)) {
          ended = true;
          say("This browser is not signed in any more. Reload the page to go on.");
          return;
        }
      } catch {
        lost();
        return;
      }
      open();
    };
    const onVisible = () => {
      if (document.hidden) close();
      else open();
    };
    document.addEventListener("visibilitychange", onVisible);
    addEventListener("pagehide", close);
    addEventListener("pageshow", onVisible);
    addEventListener("online", () => { if (!source) { wait = FIRST_WAIT; open(); } });
    open();
    return () => { ended = true; document.removeEventListener("visibilitychange", onVisible); close(); };
  };

  // Seconds as 1:23:41 or 2:10.
  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (number) => String(number).padStart(2, "0");
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  };

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.follow = follow;
  window.Evenhand.clock = clock;
})();
