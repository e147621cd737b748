// The page of a run, and of one of its trials: charts, the table of thousands of rows, and what keeps them live.
//
// Everything that the table shows stands in the address; its links and forms work without this script, which only spares the page
// being loaded anew. Nothing here reads the whole run.
"use strict";
(() => {
  const REFRESH_MS = 1000, REFRESH_LARGE_MS = 3000; // between two looks for what changed, at the least; of a run of very many
  const LARGE_TRIALS = 5000;
  const CHUNK_CURVES = 64; // curves of one request, so that a browser keeps those that have ended
  const NEWEST_CURVES = 16; // that are drawn beside the sample
  /** @type {(selector: string, within?: ParentNode) => Part | null} */
  const find = (selector, within = document) => within.querySelector(selector);
  const json = async (address) => {
    const answer = await fetch(address, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  };
  const text = async (address) => {
    const answer = await fetch(address, { headers: { "hx-request": "true" } });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.text();
  };

  // A trial's own page: its curve, beside the best one's.
  const alone = find("main.trial-page");
  const host = find("#chart-trial");
  if (alone && host) {
    const { metric, share, kind, number, best } = alone.dataset;
    const chart = Evenhand.runCharts.curves(host, { metric, percent: share === "yes", kind });
    chart.mark({ subject: Number(number), best: Number(best) || null });
    json(host.dataset.curves).then((columns) => chart.add(columns)).catch(() => {});
  }

  const page = find("main.run-page");
  if (!page) return;
  const address = `${Evenhand.root}/sessions/${page.dataset.session}`;
  const token = find('meta[name="csrf-token"]')?.getAttribute("content") ?? "";
  const look = { metric: page.dataset.metric, percent: page.dataset.share === "yes", kind: page.dataset.kind };

  // The charts. A stated selection of the curves is drawn, and said in words.
  const curves = Evenhand.runCharts.curves(/** @type {Part} */ (find("#chart-curves")), { ...look, open: (number) => location.assign(`${address}/trials/${number}`) });
  const progress = Evenhand.runCharts.progress(/** @type {Part} */ (find("#chart-progress")), { ...look, maximize: page.dataset.maximize === "yes" });
  const pins = () => new URLSearchParams(location.search).getAll("pin").map(Number).filter((number) => number > 0);
  const sayWhich = (state) => {
    const many = (count) => count.toLocaleString("en");
    const which = state.sample === 1 ? "all of them" : `one in ${state.sample}, and the best, the chosen, the pinned and the ${NEWEST_CURVES} newest`;
    /** @type {Part} */ (find("#curves-sub")).textContent = `validation ${look.metric} after each epoch; ${which}; point at one for its number`;
    /** @type {Part} */ (find("#curves-title")).textContent = `Curves of ${state.trials === 1 ? "1 trial" : `${many(state.trials)} trials`}`;
    /** @type {Part} */ (find("#progress-sub")).textContent = `best validation ${look.metric} of the trials until then, and ${state.every === 1 ? "each trial’s own" : `one in ${state.every} of their own`}`;
  };
  const specials = (state) => {
    const newest = Array.from({ length: NEWEST_CURVES }, (_, at) => state.newest - at).filter((number) => number > 0);
    return [...new Set([state.best, state.chosen, ...pins(), ...(state.sample === 1 ? [] : newest)])].filter((number) => number !== null);
  };
  /** @type {any} */
  let drawnState = null;
  const loadCurves = async (state, ended) => {
    const { sample, newest } = state;
    const chunk = sample * CHUNK_CURVES;
    const from = ended && drawnState?.sample === sample ? Math.floor(drawnState.newest / chunk) : 0; // those before have not changed
    const wanted = [];
    for (let at = from; at * chunk < newest; at += 1) wanted.push(`${address}/run/curves?first=${at * chunk + 1}&last=${Math.min(newest, (at + 1) * chunk)}&every=${sample}`);
    const named = specials(state);
    if (named.length) wanted.push(`${address}/run/curves?${named.map((number) => `number=${number}`).join("&")}`);
    const parts = await Promise.all(wanted.map(json));
    if (drawnState && drawnState.sample !== sample) curves.keep([]);
    drawnState = state;
    for (const columns of parts) curves.add(columns);
    const sampled = new Set(named);
    curves.keep([...curves.curves.keys()].filter((number) => number % sample === 0 || sampled.has(number)));
    curves.mark({ best: state.best, chosen: state.chosen, pinned: pins() });
  };
  const charts = async (ended = false) => {
    const state = await json(`${address}/run/progress`);
    /** @type {Part} */ (find("#charts")).hidden = !state.trials;
    sayWhich(state);
    progress.set(state);
    await loadCurves(state, ended);
  };

  // The table.
  /** @type {Set<string>} trials that are ticked, as SESSION:NUMBER; rows out of sight among them */
  const ticked = new Set(new URLSearchParams(location.search).getAll("tick").map((number) => `${page.dataset.session}:${number}`));
  /** @type {any} */
  let rows = null;
  const card = /** @type {Part} */ (find("#trials"));
  const say = () => {
    const status = find("#ticked", card), button = find("#compare-ticked", card);
    const most = Number(find("#compare", card)?.dataset.most);
    if (status) status.textContent = !ticked.size ? "Tick trials to compare them." : ticked.size > most ? `${ticked.size} ticked, and at most ${most} are compared.` : `${ticked.size} ticked.`;
    if (button) /** @type {HTMLButtonElement} */ (/** @type {unknown} */ (button)).disabled = ticked.size < 2 || ticked.size > most;
  };
  const boxes = () => /** @type {HTMLInputElement[]} */ ([...card.querySelectorAll('input[name="trial"][form="compare"]')]);
  const restore = () => {
    for (const box of boxes()) box.checked = ticked.has(box.value);
    say();
  };
  const begin = () => {
    rows?.end();
    rows = null;
    const table = /** @type {HTMLTableElement | null} */ (document.getElementById("trial-rows"));
    if (!table) return say();
    find("#pager", card)?.remove();
    const body = /** @type {HTMLTableSectionElement} */ (table.querySelector("tbody.window"));
    rows = Evenhand.virtualRows({
      table,
      body,
      block: Number(table.dataset.window),
      total: Number(table.dataset.total),
      height: () => /** @type {HTMLElement | null} */ (table.querySelector("tr.run-row"))?.offsetHeight ?? 44,
      address: () => table.dataset.rows ?? "",
      scroller: find("#trials-scroll"),
      drawn: restore,
    });
    restore();
  };
  const show = async (query, keep) => {
    const scroller = find("#trials-scroll");
    const top = keep && scroller ? scroller.scrollTop : 0;
    const focused = document.activeElement instanceof HTMLElement && card.contains(document.activeElement) ? document.activeElement : null;
    const mark = focused?.dataset.pin ? `[data-pin="${focused.dataset.pin}"]` : focused?.id ? `#${focused.id}` : focused?.textContent ? "" : null;
    const html = await text(`${address}/run/table?${query}`);
    card.innerHTML = html;
    begin();
    const now = find("#trials-scroll");
    if (now && top) now.scrollTop = top;
    if (mark) find(mark, card)?.focus({ preventScroll: true });
    else if (mark === "") find("#trials-scroll", card)?.focus({ preventScroll: true });
    curves.mark({ pinned: pins() });
    if (drawnState) loadCurves(drawnState, true).catch(() => {});
  };
  const go = (query, keep = false) => {
    history.pushState(null, "", `${location.pathname}${query ? `?${query}` : ""}`);
    show(query, keep).catch(() => location.reload());
  };
  card.addEventListener("click", (event) => {
    const link = /** @type {HTMLElement} */ (event.target).closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const pin = link.hasAttribute("data-pin");
    if (!pin && !link.hash.startsWith("#trials")) return;
    event.preventDefault();
    go(new URL(link.getAttribute("href") ?? "", location.href).search.slice(1), pin);
  });
  card.addEventListener("keydown", (event) => {
    const pin = /** @type {Part} */ (event.target).closest("a[data-pin]");
    if (!pin || event.key !== " ") return;
    event.preventDefault();
    pin.click();
  });
  card.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    event.preventDefault();
    if (form.id === "compare") {
      location.assign(`${form.action}?${[...ticked].map((trial) => `trial=${trial}`).join("&")}`);
      return;
    }
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    go(new URLSearchParams(/** @type {[string, string][]} */ (fields)).toString());
  });
  card.addEventListener("change", (event) => {
    const box = /** @type {HTMLInputElement} */ (event.target);
    if (box.getAttribute("form") !== "compare") return;
    if (box.checked) ticked.add(box.value);
    else ticked.delete(box.value);
    const query = new URLSearchParams(location.search);
    query.delete("tick");
    for (const trial of ticked) query.append("tick", trial.split(":")[1]);
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    restore();
  });
  addEventListener("popstate", () => show(location.search.slice(1), false).catch(() => location.reload()));
  begin();

  // Live: what changed is told by the stream, and then asked for, part by part.
  const result = /** @type {Part} */ (find("#result"));
  const loadResult = async () => {
    result.innerHTML = (await text(`${address}/run/result`));
    for (const input of result.querySelectorAll('input[name="csrf_token"]')) input.setAttribute("value", token);
  };
  const loadHead = async () => {
    const status = /** @type {Part} */ (find("#status"));
    const html = await text(`${address}/run/head`);
    if (!status.contains(document.activeElement) || document.activeElement === document.body) status.innerHTML = html;
    await followWork(parsed(html));
  };

  // The forms of who works with the method. What somebody types is never swapped: only whose turn it is, and what a form came to.
  const work = /** @type {Part} */ (find("#work"));
  const wide = matchMedia("(min-width: 1381px)"); // where the forms stand beside the table: see run.css
  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };
  const openFirst = () => {
    const first = find("#trial", work);
    if (first && wide.matches && !find("details.do[open]", work)) first.open = true;
  };
  const putIn = (content) => {
    work.replaceChildren(content);
    work.hidden = !find("#trial", work);
    Evenhand.work?.begin();
    openFirst();
  };
  const followWork = async (head) => {
    const now = /** @type {HTMLTemplateElement | null} */ (head.querySelector("#work-now"));
    if (Boolean(now) !== Boolean(find("#trial", work))) return putIn(parsed(now ? await text(work.dataset.part) : ""));
    for (const part of now?.content.children ?? []) {
      const old = find(`#${/** @type {Part} */ (part).dataset.now}`, work);
      if (!old || old.innerHTML === part.innerHTML) continue;
      const held = old.contains(document.activeElement);
      old.replaceChildren(...part.childNodes);
      if (held) /** @type {HTMLElement | null} */ (old.querySelector("button"))?.focus({ preventScroll: true });
    }
  };
  // A form that was sent is replaced by what came of it, and so are those that nobody has touched.
  const answered = (content, sent) => {
    if (!content.querySelector(".turn-card")) return putIn(content); // it ended meanwhile
    for (const part of content.querySelectorAll("details.do, .turn-card")) {
      const old = part.id ? find(`#${part.id}`, work) : find(".turn-card", work);
      const isOpen = Boolean(old?.open);
      if (!old || (old !== sent && old.dataset.touched)) continue;
      if (part.id && old !== sent) part.toggleAttribute("open", isOpen);
      old.replaceWith(part);
      if (old === sent) sent = part;
    }
    find("#work-said", work)?.remove();
    const said = content.querySelector("#work-said");
    if (said) work.prepend(said);
    Evenhand.work?.begin();
    if (!Evenhand.work?.toWrong()) /** @type {HTMLElement | null} */ (said ?? sent.querySelector("button"))?.focus();
  };
  const send = async (form, button) => {
    const fields = new URLSearchParams(/** @type {any} */ (new FormData(form, button)));
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { "hx-request": "true" } });
    const html = await answer.text();
    if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new Error(html);
    answered(parsed(html), form.closest("details.do, .turn-card"));
  };
  const unsent = (form, error) => {
    const note = form.querySelector(".unsent") ?? document.createElement("p");
    note.className = "note bad unsent";
    note.setAttribute("role", "alert");
    note.textContent = `It was not sent: ${error.message}. What you typed is still here.`;
    form.append(note);
  };
  work.addEventListener("input", (event) => {
    const part = /** @type {Part} */ (event.target).closest("details.do, .turn-card");
    if (part) part.dataset.touched = "yes";
  });
  work.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    event.preventDefault();
    send(form, event.submitter).catch((error) => unsent(form, error));
  });
  document.addEventListener("click", (event) => {
    const link = /** @type {Part | null} */ (/** @type {Element} */ (event.target).closest("a[data-do]"));
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !find(`#${link.dataset.do}`, work)) return;
    event.preventDefault();
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.removeAttribute("open");
    Evenhand.work?.open(link.dataset.do);
  });
  openFirst();
  const loadRows = async () => {
    const table = document.getElementById("trial-rows");
    if (!rows || !table) return show(location.search.slice(1), true);
    const scroller = /** @type {Part} */ (find("#trials-scroll"));
    const [before, top] = [rows.total, scroller.scrollTop];
    await rows.refresh();
    const height = /** @type {HTMLElement | null} */ (table.querySelector("tr.run-row"))?.offsetHeight ?? 0;
    const newestFirst = !new URLSearchParams(location.search).has("sort");
    if (newestFirst && top > height) scroller.scrollTop = top + (rows.total - before) * height; // what one reads stays in its place
    const pinned = find("#pinned", card);
    if (pinned?.childElementCount) pinned.innerHTML = await text(table.dataset.pinned ?? "");
    restore();
    const words = find("#q-help", card);
    if (words && !words.querySelector("a, .invalid-feedback")) words.textContent = `${rows.total.toLocaleString("en")} ${rows.total === 1 ? "trial" : "trials"}`;
  };
  // What the page was made of; what happened between that and the stream's first word is in that word.
  let stamp = page.dataset.stamp, open = JSON.stringify(JSON.parse(page.dataset.open)), timer = 0, last = 0;
  const pace = Number(page.dataset.trials) > LARGE_TRIALS ? REFRESH_LARGE_MS : REFRESH_MS;
  const refresh = async (all, ended) => {
    timer = 0;
    last = Date.now();
    await Promise.all([loadHead(), loadRows(), all ? charts(true) : drawnState && loadCurves({ ...drawnState }, true)]);
    if (ended) await loadResult();
  };
  let changedAll = false;
  const onState = (state) => {
    const now = JSON.stringify(state.open);
    const [other, moved] = [state.stamp !== stamp, now !== open];
    [stamp, open] = [state.stamp, now];
    changedAll ||= other;
    if ((other || moved) && !timer) {
      timer = setTimeout(() => {
        const all = changedAll;
        changedAll = false;
        refresh(all, all && state.ended).catch(() => {});
      }, Math.max(0, last + pace - Date.now()));
    }
  };
  Evenhand.follow(`${address}/run/events`, { state: onState });

  charts().catch(() => {});
  if (result.dataset.part) setTimeout(() => loadResult().catch(() => {}), 0);
})();
