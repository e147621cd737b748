// The explore page: all trials of a run across all hyperparameters, brushed; the best of what is brushed as a table; and each trial's
// value against each hyperparameter. What is brushed stands in the page's address.
"use strict";
(async () => {
  const main = /** @type {Part} */ (document.querySelector("main[data-explore]"));
  if (main.dataset.none) { // the page of a run without a trial has nothing yet that a reload could lose
    let first = "";
    Evenhand.follow(main.dataset.events, { state: ({ stamp }) => { if (stamp !== (first ||= stamp)) location.reload(); } });
    return;
  }
  const part = (id) => /** @type {Part} */ (document.getElementById(id));
  const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
  const FIRST_ROWS = 10, MORE_ROWS = 50; // of the table
  const ADDRESS_MS = 250; // between two writings of the address, since browsers bear few of them
  const MOST_PANEL_OPTIONS = 60; // of a hyperparameter that gets a panel
  const RENEW_MS = 2000, RENEW_LARGE_MS = 5000; // between two looks for what changed, at the least; of a run of very many
  const LARGE_TRIALS = 2000;
  /** @type {Level[]} */
  const levels = JSON.parse(main.dataset.levels || "[]");
  const metric = `validation ${main.dataset.metric}`;
  const grouped = (number) => number.toLocaleString("en");
  const trials = (number) => `${grouped(number)} trial${number === 1 ? "" : "s"}`;
  const colon = (text) => `${text}: `;

  const problem = (error) => (error instanceof Error ? error.message : String(error));

  const say = (words, isProblem = false) => {
    part("explore-state").textContent = words;
    part("explore-state").classList.toggle("problem", isProblem);
  };

  /** @type {any} */
  let run;
  try {
    run = await Evenhand.columns(/** @type {string} */ (main.dataset.explore), () => arrived());
  } catch (error) {
    say(`The trials could not be read: ${problem(error)}. Reload the page to try again.`, true);
    return;
  }
  if (!run.total) return;

  // Axes: each hyperparameter's and, last, the value's.
  /** @type {(values: Float64Array, low: number, high: number) => [number, number]} */
  const extent = (values, low, high) => {
    for (const value of values.subarray(0, run.count)) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  };
  const isMissing = (values) => values.subarray(0, run.count).some(Number.isNaN);
  /** @type {(about: any, ends: [number, number]) => any} */
  const scaleOf = (about, [low, high]) => Evenhand.scaleOf(about, low, high);
  const asDeclared = (axis) => Evenhand.scaleOf(axis, axis.zero ?? axis.low, axis.high);
  const valueAxis = { scale: "linear", whole: false, zero: null, base: "0", options: [], default: null, when: "", percent: run.head.percent };
  const axes = [
    ...run.head.axes.map((axis) => ({ name: axis.name, label: axis.label, about: axis, scale: asDeclared(axis), values: run.columns.get(axis.name), exact: run.exact.get(axis.name), missing: "inactive", hasMissing: Boolean(axis.when) })),
    { name: "", label: main.dataset.metric, about: valueAxis, scale: Evenhand.scaleOf(valueAxis, 0, 1), values: run.values, missing: "no value", hasMissing: false },
  ];
  const value = axes[axes.length - 1];
  const brushes = Evenhand.brushes(run, axes);
  let isRead = false;
  // What the trials that are there ask of the axes: room for those that lie beyond, and a rail for those that have none.
  const fit = () => {
    for (const axis of axes.slice(0, -1)) {
      if (!axis.scale.hasOptions) axis.scale = scaleOf(axis.about, extent(axis.values, axis.about.zero ?? axis.about.low, axis.about.high));
      axis.hasMissing = axis.hasMissing || isMissing(axis.values);
    }
    const [low, high] = extent(run.values, Infinity, -Infinity);
    value.scale = scaleOf(valueAxis, low <= high ? [low, high] : [0, 1]);
    value.hasMissing = isMissing(run.values);
  };

  // One trial that is pointed at, in words.
  const readout = part("explore-trial");
  const address = (index) => `${Evenhand.root}/sessions/${main.dataset.session}/trials/${run.numbers[index]}`;
  const words = (axis, index) => (Number.isNaN(axis.values[index]) ? axis.missing : axis.scale.words(axis.values[index], axis.exact?.get(index)));
  const outcome = (index) => run.statusWords[run.statuses[index]][1];
  const marks = (index) => [...(run.best?.number === run.numbers[index] ? ["best"] : []), ...(run.head.chosen === run.numbers[index] ? ["chosen"] : [])];
  const link = (index) => {
    const anchor = /** @type {HTMLAnchorElement} */ (make("a", "", `trial ${run.numbers[index]}`));
    anchor.href = address(index);
    return anchor;
  };
  const pointed = (index) => {
    if (index < 0) {
      readout.replaceChildren(make("span", "quiet", run.count === 1 ? "" : "Point at a line to read its trial; click to keep it."));
      return;
    }
    const what = [words(value, index), ...(outcome(index) === "completed" ? [] : [outcome(index)]), ...marks(index)].join(", ");
    const rest = axes.slice(0, -1).filter((axis) => !Number.isNaN(axis.values[index])).map((axis) => colon(axis.label) + words(axis, index)).join(" · ");
    readout.replaceChildren(link(index), make("span", "", `, ${what}`), make("span", "quiet", ` · ${rest}`));
  };

  // The best of what is brushed.
  let rows = FIRST_ROWS;
  const best = (most) => {
    const sign = run.head.maximize ? -1 : 1;
    const rank = (index) => (Number.isNaN(run.values[index]) ? Infinity : sign * run.values[index]);
    /** @type {number[]} */
    const places = [];
    for (let index = 0; index < run.count; index += 1) if (brushes.selected[index]) places.push(index);
    return places.sort((one, other) => rank(one) - rank(other) || one - other).slice(0, most);
  };
  const fillTable = () => {
    const shown = brushes.shown.filter((axis) => axis.name);
    const heads = ["Trial", metric, "State", ...shown.map((axis) => axis.label)];
    const table = Evenhand.table(heads, best(rows).map((index) => [link(index), words(value, index), [outcome(index), ...marks(index)].join(", "), ...shown.map((axis) => (Number.isNaN(axis.values[index]) ? "–" : words(axis, index)))]));
    table.className = "table table-sm explore-best";
    part("explore-table").replaceChildren(table);
    part("explore-more").hidden = brushes.count <= rows;
  };
  part("explore-more").addEventListener("click", () => { rows += MORE_ROWS; fillTable(); });

  const summary = () => {
    const counts = new Uint32Array(run.statusWords.length);
    for (let index = 0; index < run.count; index += 1) counts[run.statuses[index]] += brushes.selected[index];
    const outcomes = run.statusWords.map(([, name], at) => ({ name, count: counts[at] })).filter(({ count }) => count)
      .sort((one, other) => other.count - one.count).map(({ name, count }) => `${grouped(count)} ${name}`).join(", ");
    const within = [...brushes.byAxis.keys()].map((axis) => colon(axis.label) + brushes.words(axis)).join("; ");
    if (brushes.isEmpty) return `${trials(run.count)}${run.count < run.total ? ` of ${grouped(run.total)}, the rest is coming` : ""}: ${outcomes}.`;
    return `${grouped(brushes.count)} of ${trials(run.count)} with ${within}${outcomes ? `: ${outcomes}` : ""}.`;
  };

  // Ranges to type, axes to order and to hide.
  const form = part("explore-form");
  const field = (axis, name, words_) => {
    const label = make("label", "", `${words_} `);
    const input = /** @type {HTMLInputElement} */ (make("input", "form-control form-control-sm"));
    Object.assign(input, { name, inputMode: "decimal", autocomplete: "off" });
    input.setAttribute("aria-label", `${axis.label}, ${words_}`);
    label.append(input);
    return label;
  };
  const tick = (words_, isTicked, changed) => {
    const label = make("label", "form-check");
    const box = /** @type {HTMLInputElement} */ (make("input", "form-check-input"));
    Object.assign(box, { type: "checkbox", checked: isTicked });
    box.addEventListener("change", () => changed(box.checked));
    label.append(box, ` ${words_}`);
    return { label, box };
  };
  const button = (words_, name, act) => {
    const made = /** @type {HTMLButtonElement} */ (make("button", "btn btn-sm", words_));
    made.type = "button";
    made.setAttribute("aria-label", name);
    made.addEventListener("click", act);
    return made;
  };
  const fieldset = (axis) => {
    const set = make("fieldset", "explore-axis");
    const wrong = make("p", "invalid-feedback");
    set.append(make("legend", "", axis.label));
    /** @type {(() => void)[]} */
    const updates = [];
    if (axis.scale.hasOptions) {
      for (const [place, text] of axis.about.options.entries()) {
        const { label, box } = tick(text, false, (isTicked) => {
          const held = brushes.byAxis.get(axis);
          const places = new Set(held?.places ?? []);
          if (isTicked) places.add(place);
          else places.delete(place);
          brushes.options(axis, [...places], held?.missing);
          changed(axis, true);
        });
        updates.push(() => { box.checked = brushes.byAxis.get(axis)?.places?.has(place) ?? false; });
        set.append(label);
      }
    } else {
      const ends = [["low", "from"], ["high", "to"]].map(([name, words_]) => field(axis, name, words_));
      const inputs = ends.map((label) => /** @type {HTMLInputElement} */ (label.querySelector("input")));
      const typed = () => {
        const [low, high] = inputs.map((input) => (input.value.trim() ? axis.scale.read(input.value) : null));
        const isWrong = Number.isNaN(low) || Number.isNaN(high) || (low !== null && high !== null && low > high);
        wrong.textContent = isWrong ? `expected numbers from ${axis.scale.words(axis.scale.low)} to ${axis.scale.words(axis.scale.high)}, the smaller one first` : "";
        for (const input of inputs) input.classList.toggle("is-invalid", isWrong);
        if (isWrong) return;
        if (low === null && high === null) brushes.clear(axis);
        else brushes.range(axis, low ?? axis.scale.low, high ?? axis.scale.high, brushes.byAxis.get(axis)?.missing);
        changed(axis, true);
      };
      for (const input of inputs) input.addEventListener("change", typed);
      updates.push(() => {
        const brush = brushes.byAxis.get(axis);
        for (const [at, input] of inputs.entries()) {
          const end = brush ? [brush.low, brush.high][at] : NaN;
          if (document.activeElement !== input) input.value = Number.isNaN(end) ? "" : axis.scale.typed(end);
          input.placeholder = axis.scale.typed(at ? axis.scale.high : axis.scale.low);
        }
      });
      set.append(...ends);
    }
    set.append(wrong);
    const rail = tick(axis.missing, false, (isTicked) => { brushes.missing(axis, isTicked); changed(axis, true); });
    updates.push(() => { rail.box.checked = brushes.byAxis.get(axis)?.missing ?? false; rail.label.hidden = !axis.hasMissing; });
    const shown = tick("shown", true, (isTicked) => { brushes.show(axis, isTicked); plot.refresh(); changed(axis, true); });
    updates.push(() => { shown.box.checked = brushes.shown.includes(axis); });
    const aside = make("div", "explore-order-buttons");
    aside.append(shown.label);
    for (const [sign, steps, where] of /** @type {[string, number, string][]} */ ([["←", -1, "left"], ["→", 1, "right"]])) {
      aside.append(button(sign, `Move ${axis.label} to the ${where}`, () => { brushes.move(axis, steps); plot.refresh(); changed(axis, true); }));
    }
    set.append(rail.label, aside);
    return { set, update: () => updates.forEach((update) => update()) };
  };
  const fieldsets = axes.map(fieldset);
  form.append(...fieldsets.map(({ set }) => set));
  part("explore-clear").addEventListener("click", () => { brushes.clear(); changed(value, true); });

  // The value against each hyperparameter of which trials had more than one value.
  /** @type {any[]} */
  let panels = [];
  const panelHost = part("explore-panels");
  const varies = (values) => {
    let first = NaN;
    for (let index = 0; index < run.count; index += 1) {
      if (Number.isNaN(values[index])) continue;
      if (Number.isNaN(first)) first = values[index];
      else if (values[index] !== first) return true;
    }
    return false;
  };
  const FEW_WHOLE = 24; // places of an axis of whole numbers, up to which it is drawn as options are
  const isStepped = (axis) => axis.scale.hasOptions || (axis.about.whole && axis.about.scale === "linear" && axis.about.high - axis.about.low < FEW_WHOLE);
  const spread = (axis) => scaleOf(axis.about, isStepped(axis) ? [extent(axis.values, Infinity, -Infinity)[0] - 0.5, extent(axis.values, Infinity, -Infinity)[1] + 0.5] : extent(axis.values, Infinity, -Infinity));
  const drawPanels = () => {
    const [low, high] = extent(run.values, Infinity, -Infinity);
    const shares = levels.map(([, share]) => share);
    const y = scaleOf(valueAxis, low <= high ? [Math.min(low, ...shares), Math.max(high, ...shares)] : [0, 1]);
    const common = { up: metric, y, levels, pointed: (index, pin) => plot.point(index, pin) };
    const numbers = Float64Array.from(run.numbers.subarray(0, run.count));
    const counts = { scale: "linear", whole: true, zero: null, base: "0", options: [] };
    const wanted = axes.slice(0, -1).filter((axis) => varies(axis.values) && axis.about.options.length <= MOST_PANEL_OPTIONS);
    const known = panels.map((panel) => panel.options.label).join("\n");
    const settings = [
      { ...common, label: "trial", x: Evenhand.scaleOf(counts, 0, numbers[numbers.length - 1]), xs: numbers, line: true },
      ...wanted.map((axis) => ({ ...common, label: axis.label, x: spread(axis), xs: axis.values, exact: axis.exact, isSpread: isStepped(axis), mark: axis.scale.hasOptions ? null : axis.about.default })),
    ];
    if (known !== settings.map((setting) => setting.label).join("\n")) {
      panelHost.replaceChildren(...wanted.map(() => make("div", "explore-panel chart-own")));
      part("explore-order").replaceChildren();
      panels = settings.map((setting, at) => Evenhand.scatter(at ? panelHost.children[at - 1] : part("explore-order"), run, setting));
    } else for (const [at, panel] of panels.entries()) panel.options = settings[at];
    for (const panel of panels) panel.draw(brushes.isEmpty ? null : brushes.selected);
    part("explore-same").hidden = wanted.length > 0;
  };

  let timer = 0;
  const keepAddress = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const query = brushes.query();
      history.replaceState(null, "", query ? `?${query}` : location.pathname);
    }, ADDRESS_MS);
  };

  // Something is brushed. isSettled: no finger moves any more, so that what takes longer may follow.
  let frame = 0, isToSettle = false;
  const changed = (axis, isSettled) => {
    isToSettle = isToSettle || isSettled;
    if (!frame) frame = requestAnimationFrame(follow);
  };
  const follow = () => {
    frame = 0;
    brushes.select();
    plot.brushed();
    say(summary());
    part("explore-clear").hidden = brushes.isEmpty;
    if (!isToSettle) return;
    isToSettle = false;
    rows = FIRST_ROWS;
    fillTable();
    for (const { update } of fieldsets) update();
    for (const panel of panels) panel.draw(brushes.isEmpty ? null : brushes.selected);
    keepAddress();
  };
  const plot = Evenhand.parallel(part("explore-lines"), run, brushes, { changed, pointed });

  const arrived = () => {
    fit();
    if (!isRead) brushes.read(new URLSearchParams(location.search));
    isRead = true;
    brushes.select();
    plot.refresh();
    for (const { update } of fieldsets) update();
    fillTable();
    drawPanels();
    pointed(plot.pointedAt);
    say(summary());
    part("explore-clear").hidden = brushes.isEmpty;
    main.dataset.count = String(run.count);
  };

  // What has changed since: what is brushed, typed, pinned or focused stays, and while something is brushed no axis moves.
  const table = part("explore-table");
  const renewed = () => {
    for (const axis of axes) axis.values = axis.name ? run.columns.get(axis.name) : run.values;
    const before = axes.map((axis) => `${axis.scale.low} ${axis.scale.high}`).join();
    if (brushes.isEmpty) fit();
    for (const axis of axes) axis.hasMissing = axis.hasMissing || isMissing(axis.values);
    brushes.select();
    if (before === axes.map((axis) => `${axis.scale.low} ${axis.scale.high}`).join()) plot.grown();
    else plot.refresh();
    for (const { update } of fieldsets) update();
    if (!table.contains(document.activeElement) || document.activeElement === table) fillTable();
    drawPanels();
    say(summary());
    main.dataset.count = String(run.count);
  };
  let last = Date.now(), timerOfRenewal = 0, isOther = false;
  const renew = async () => {
    if (plot.isBrushing) return later();
    timerOfRenewal = 0;
    last = Date.now();
    if (await run.renew()) renewed();
    else if (!isOther) {
      isOther = true;
      say("The run has other hyperparameters by now. Reload the page to see them.", true);
    }
  };
  const later = () => {
    const pace = run.count > LARGE_TRIALS ? RENEW_LARGE_MS : RENEW_MS;
    timerOfRenewal = setTimeout(() => renew().catch(() => {}), Math.max(RENEW_MS / 4, last + pace - Date.now()));
  };
  const followRun = () => {
    let known = "";
    Evenhand.follow(main.dataset.events, {
      state: ({ stamp, open }) => {
        const now = JSON.stringify([stamp, open]);
        if (now === known) return;
        known = now;
        if (!timerOfRenewal) later();
      },
    });
  };

  try {
    await run.load();
    if (main.dataset.events) followRun();
  } catch (error) {
    say(`${trials(run.count)} of ${grouped(run.total)} are drawn; the others could not be read: ${problem(error)}. Reload the page to try again.`, true);
  }
})();
