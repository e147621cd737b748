// The tune page: the form, the running trial, the history; and the final page, which only follows the clock and the step.
"use strict";
(() => {
  /** @type {(selector: string, within?: ParentNode) => Part} */
  const find = (selector, within = document) => /** @type {Part} */ (within.querySelector(selector));
  /** @type {(selector: string, within?: ParentNode) => Part[]} */
  const all = (selector, within = document) => /** @type {Part[]} */ ([...within.querySelectorAll(selector)]);
  const main = find("main");
  const csrf = find('meta[name="csrf-token"]').content;
  const HOME = main.dataset.home;  // what the addresses of this participant's pages begin with
  const JSON_PLEASE = { accept: "application/json", "x-csrf-token": csrf };
  const LOST = "The connection is lost, so nothing was sent. What you typed is still here; try again in a moment.";

  const clockText = Evenhand.clock;
  const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");
  const write = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  const typed = (form) => new URLSearchParams(/** @type {any} */ (new FormData(form))); // no form here has a file
  const post = async (url, form) => {
    const answer = await fetch(url, { method: "POST", headers: JSON_PLEASE, body: typed(form) });
    return { status: answer.status, ...(await answer.json()) };
  };

  // One window writes. This tab names itself, and keeps its name through a refresh.
  const named = sessionStorage.getItem("evenhand-window") ?? crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  sessionStorage.setItem("evenhand-window", named);
  for (const place of all('input[name="window"]')) place.value = named;
  const EVENTS = `${HOME}/events?window=${encodeURIComponent(named)}`;
  const elsewhere = find("#elsewhere");
  const showWriter = (writes) => {
    if (!elsewhere) return;
    if (elsewhere.hidden !== writes) elsewhere.hidden = writes;
    document.body.classList.toggle("reads-only", !writes);
  };
  const notice = find("#notice");
  const showNotice = (text) => {
    if (!notice) return;
    notice.hidden = !text;
    write(notice, text);
  };
  if (elsewhere) {
    find("form", elsewhere).addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await post(`${HOME}/continue`, event.target);
        showWriter(true);
      } catch {
        showNotice(LOST);
      }
    });
  }

  // The clock counts down between two words of the server.
  const clock = find("#clock");
  const time = { seconds: null, ticking: false, at: performance.now() };
  const setClock = (seconds, ticking) => Object.assign(time, { seconds, ticking, at: performance.now() });
  if (clock) {
    setClock(clock.dataset.seconds === "" ? null : Number(clock.dataset.seconds), clock.dataset.ticking === "yes");
    setInterval(() => {
      if (time.seconds === null || !time.ticking) return;
      const left = time.seconds - (performance.now() - time.at) / 1000;
      write(find(".clock-big", clock), clockText(left));
      clock.classList.toggle("late", left < 300);
    }, 250);
  }
  const showClock = (shown) => {
    if (!clock) return;
    setClock(shown.seconds, shown.ticking);
    if (shown.seconds === null || !shown.ticking) write(find(".clock-big", clock), shown.big);
    write(find(".clock-small", clock), shown.small);
    const spent = find(".clock-spent");
    if (spent) spent.value = shown.share < 0.01 ? 0 : shown.share;
  };

  if (main.dataset.page === "final") {
    const here = main.dataset.step;
    Evenhand.follow(EVENTS, {
      state: (state) => {
        showClock(state.clock);
        showWriter(state.writes);
        if (state.step !== here) location.assign(HOME);
      },
    });
    return;
  }

  // The form: what is active, what is changed, what is said about it.
  const form = find("#form");
  const fields = all(".field", form);
  const input = (field) => find(".field-input", field);
  const reason = (field) => find(".field-reason", field);
  const byName = new Map(fields.map((field) => [field.dataset.name, field]));
  const presets = fields.some((field) => field.dataset.default && input(field).placeholder === "");
  const NUMBERS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"];
  let source = { number: find("#form-sub").dataset.source, values: JSON.parse(find("#form-sub").dataset.values || "null") };

  const { effective, isActive, parents } = Evenhand.fields;
  const same = (one, other, field) => Evenhand.fields.same(one, other, input(field).tagName === "SELECT");

  const refreshField = (field) => {
    const active = isActive(field, byName);
    field.classList.toggle("inactive", !active);
    for (const control of all("input, select", field)) control.disabled = !active;
    const text = input(field).value.trim();
    field.classList.toggle("changed", Boolean(field.dataset.default) && text !== "" && !same(text, field.dataset.default, field));
    reason(field).classList.toggle("given", reason(field).value !== "");
    find(".field-other", field).hidden = reason(field).value !== "other";
  };

  const words = () => {
    const hidden = fields.filter((field) => field.classList.contains("inactive")).length;
    const asked = new Set(fields.flatMap(parents));
    const parent = asked.size === 1 ? byName.get([...asked][0]) : null;
    const chosen = parent && input(parent).value ? input(parent).selectedOptions?.[0]?.textContent : "";
    write(find("#optional-title"), chosen ? `For ${chosen} · optional` : "Optional");
    const rest = find("#rest");
    if (!rest) return;
    rest.hidden = !hidden;
    const [many, s] = [NUMBERS[hidden] ?? hidden, hidden === 1 ? "s" : ""];
    const name = parent ? find("label", parent).textContent.toLowerCase() : "";
    if (!parent) write(rest, `${many} more appear${s} with other choices.`);
    else if (!input(parent).value) write(rest, `${many} more appear${s} with the ${name} that you choose.`);
    else write(rest, `${many} more belong${s} to other ${name}s and appear${s} with them.`);
  };

  const subtitle = () => {
    if (!source.number || !source.values) return;
    const changed = fields.filter((field) => {
      const active = !field.classList.contains("inactive");
      const before = source.values[field.dataset.name];
      return active && !same(effective(field), before ?? field.dataset.default, field);
    }).length;
    write(find("#form-sub"), `Started from trial ${source.number} · ${changed ? `${changed} value${changed === 1 ? "" : "s"} changed` : "nothing changed yet"}`);
  };

  const refresh = () => {
    for (const field of fields) refreshField(field);
    words();
    subtitle();
  };

  const complain = (field, text) => {
    field.classList.toggle("wrong", Boolean(text));
    if (text) input(field).setAttribute("aria-invalid", "true");
    else input(field).removeAttribute("aria-invalid");
    write(find(".field-problem", field), text);
  };
  const message = (text) => {
    const place = find("#form-message");
    place.hidden = !text;
    write(place, text);
  };

  const fill = (values, number) => {
    for (const field of fields) {
      input(field).value = values[field.dataset.name] ?? (presets ? field.dataset.default : "");
      complain(field, "");
    }
    clearReasons();
    source = { number, values };
    message("");
    refresh();
    save();
  };
  const clearReasons = () => {
    for (const field of fields) {
      reason(field).value = "";
      find(".field-other", field).value = "";
    }
  };

  // What is typed survives a reload of this tab.
  const draft = `evenhand-draft-${main.dataset.session}`;
  const save = () => {
    const texts = all("input:not([type=hidden]):not([type=checkbox]), select", form).map((control) => [control.name, control.value]);
    sessionStorage.setItem(draft, JSON.stringify({ texts, source }));
  };
  const restore = () => {
    const kept = sessionStorage.getItem(draft);
    const asked = new URLSearchParams(location.search).has("from");
    if (!kept || asked || find(".field.wrong", form) || !find("#form-message").hidden) return;
    const content = JSON.parse(kept);
    for (const [name, value] of content.texts) {
      const control = /** @type {Part | undefined} */ (form.elements.namedItem(name));
      if (control) control.value = value;
    }
    source = content.source;
  };

  form.addEventListener("input", (event) => {
    const control = /** @type {Part} */ (event.target);
    const field = control.closest(".field");
    if (field && control === input(field)) complain(field, "");
    refresh();
    save();
    if (field && control.value === "other" && control === reason(field)) find(".field-other", field).focus();
  });
  form.addEventListener("click", (event) => {
    const ask = /** @type {Part} */ (event.target).closest(".ask");
    if (!ask) return;
    const help = find(`#${ask.getAttribute("aria-controls")}`);
    help.hidden = !help.hidden;
    ask.setAttribute("aria-expanded", String(!help.hidden));
  });

  const start = find("#start");
  const final = find("#final");
  const refuse = (why) => {
    const blocked = Boolean(why) && !final.checked;
    start.setAttribute("aria-disabled", String(blocked));
    write(start, final.checked ? "Go on to submit" : "Start training");
    write(find("#refusal"), final.checked ? "You see it once more before it counts." : sentence(why));
  };
  let refusal = start.getAttribute("aria-disabled") === "true" ? find("#refusal").textContent.replace(/\.$/, "") : "";
  final.addEventListener("change", () => refuse(refusal));

  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy || start.getAttribute("aria-disabled") === "true") return;
    busy = true;
    message("");
    try {
      accept(await post(form.action, form));
    } catch {
      message(LOST);
    } finally {
      busy = false;
    }
  });

  const accept = (answer) => {
    if (answer.go) {
      location.assign(`${Evenhand.root}${answer.go}`);
      return;
    }
    const problems = answer.problems ?? {};
    for (const field of fields) complain(field, problems[field.dataset.name] ?? "");
    const wrong = fields.find((field) => field.classList.contains("wrong"));
    if (answer.number) {
      form.elements.key.value = answer.key;
      form.dispatchEvent(new Event("accepted"));
      source = { number: answer.number, values: Object.fromEntries(fields.filter((field) => !field.classList.contains("inactive")).map((field) => [field.dataset.name, effective(field)])) };
      clearReasons();
      refresh();
      save();
      const narrow = innerWidth < 900;
      if (narrow) find("#run").scrollIntoView({ behavior: "smooth" });
      find("#run").focus({ preventScroll: true });
    } else if (wrong) input(wrong).focus();
    else message(sentence(answer.message || "it was not accepted").replace(/\.\.$/, "."));
  };

  // Stop early: asked for once more.
  const dialog = find("#stop-dialog");
  const stop = find("#stop");
  const askToStop = () => { if (!stop.disabled && !dialog.open) dialog.showModal(); };
  find("#stop-form").addEventListener("submit", (event) => { event.preventDefault(); askToStop(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || dialog.open || event.defaultPrevented || /** @type {Part} */ (event.target).tagName === "SELECT") return;
    event.preventDefault();
    askToStop();
  });
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "stop") return;
    dialog.returnValue = "";
    try {
      await post(`${main.dataset.verbs}/stop`, find("#stop-form"));
    } catch {
      message(LOST);
    }
  });

  // The running trial.
  const share = main.dataset.share === "yes";
  const charts = {
    loss: Evenhand.charts.loss(find("#chart-loss"), { kind: "participant" }),
    value: Evenhand.charts.validation(find("#chart-value"), { kind: "participant", percent: share, metric: main.dataset.metric }),
  };
  const run = find("#run");
  let drawn = 0;
  const showPoints = ({ number, reset, measurements }) => {
    if (reset || number !== drawn) {
      charts.loss.set(measurements);
      charts.value.set(number, measurements);
      compare();
    } else {
      charts.loss.append(measurements);
      charts.value.append(measurements);
    }
    drawn = number;
  };

  const lookup = (state, path) => path.split(".").reduce((value, name) => value[name], state);
  const showRun = (state) => {
    for (const place of all("[data-text]")) {
      const text = String(lookup(state, place.dataset.text));
      write(place, text);
      place.classList.toggle("none", text === "–");
    }
    find(".run-bar").hidden = !state.run.number;
    const { status, badge, open, stopping, step, total, number, epochs, per_epoch: perEpoch } = state.run;
    run.dataset.status = status;
    run.dataset.number = number;
    for (const place of all("[data-badge]")) {
      place.className = `badge outcome-${status}`;
      place.hidden = !badge;
      write(place, badge);
    }
    for (const bar of all("[data-progress]")) {
      bar.max = total;
      bar.value = step;
    }
    find("#stop-form").elements.number.value = number;
    stop.disabled = !open || stopping;
    if (stop.disabled && dialog.open) dialog.close("no");
    charts.loss.stepsPerEpoch(perEpoch);
    charts.value.plan(epochs);
    charts.value.best(state.run.best_value === null ? null : { number: state.run.best_number, value: state.run.best_value });
  };

  // The history: fetched again when a trial ended; ticks and opened details stay.
  const history = find("#trials");
  const ticked = new Set();
  const curves = new Map();
  let version = main.dataset.history;
  let everything = false;
  /** @type {Set<string> | null} */
  let shownTrials = null;
  const numbersShown = () => new Set(all("tr[data-trial]", history).map((row) => row.dataset.trial));

  const loadHistory = async () => {
    const opened = new Set(all("details[open]", history).map((details) => details.dataset.detail));
    const choices = find(".history-choices", history);
    const query = choices ? typed(choices) : new URLSearchParams();
    if (everything) query.set("all", "yes");
    const before = shownTrials ?? numbersShown();
    const focused = history.contains(document.activeElement) ? /** @type {Part} */ (document.activeElement) : null;
    const again = focused && (focused.name ? `[name="${focused.name}"]` : focused.dataset.compare ? `[data-compare="${focused.dataset.compare}"]` : "");
    await htmx.ajax(/** @type {any} */ ("GET"), `${HOME}/trials?${query}`, { target: history, swap: "innerHTML" });
    for (const details of all("details", history)) details.open = opened.has(details.dataset.detail);
    for (const row of all("tr[data-trial]", history)) {
      const number = row.dataset.trial;
      find("[data-compare]", row).checked = ticked.has(number);
      row.classList.toggle("fresh", !before.has(number));
    }
    shownTrials = new Set([...before, ...numbersShown()]);
    if (again) find(again, history)?.focus();
  };
  const follow = () => loadHistory().catch(() => {});

  const compare = async () => {
    try {
      for (const number of ticked) {
        if (curves.has(number)) continue;
        const answer = await fetch(`${HOME}/trials/${number}/curve`, { headers: { accept: "application/json" } });
        const { points } = await answer.json();
        curves.set(number, points.filter((point) => point[2] !== null && point[4] !== null).map((point) => [point[2], point[4]]));
      }
    } catch {
      return;
    }
    charts.value.compare([...ticked].map((number) => ({ number: Number(number), values: curves.get(number) })));
  };

  history.addEventListener("change", (event) => {
    const box = /** @type {Part} */ (event.target);
    const number = box.dataset.compare;
    if (number) {
      if (box.checked) ticked.add(number);
      else ticked.delete(number);
      compare();
    } else if (box.closest(".history-choices")) follow();
  });
  history.addEventListener("submit", (event) => { event.preventDefault(); follow(); });
  history.addEventListener("click", (event) => {
    const clicked = /** @type {Part} */ (event.target);
    const use = clicked.closest("[data-use]");
    if (use) {
      event.preventDefault();
      fill(JSON.parse(use.dataset.values), use.dataset.use);
      if (innerWidth < 900) form.scrollIntoView({ behavior: "smooth" });
      input(fields[0]).focus({ preventScroll: true });
    }
    if (clicked.closest("[data-all]")) {
      event.preventDefault();
      everything = true;
      follow();
    }
  });

  const show = (state) => {
    if (state.step !== main.dataset.step) {
      location.assign(HOME);
      return;
    }
    showWriter(state.writes);
    showNotice(state.notice);
    showClock(state.clock);
    showRun(state);
    refusal = state.refusal ?? "";
    refuse(refusal);
    if (state.history !== version) {
      version = state.history;
      follow();
    }
  };

  restore();
  refresh();
  refuse(refusal);
  Evenhand.follow(EVENTS, { state: show, points: showPoints });
})();
