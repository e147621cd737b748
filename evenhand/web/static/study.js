// The researcher's pages: the study's chart and table, kept live; copy buttons; a session's page.
"use strict";
(() => {
  /** @type {(selector: string, within?: ParentNode) => Part} */
  const find = (selector, within = document) => /** @type {Part} */ (within.querySelector(selector));
  /** @type {(selector: string, within?: ParentNode) => Part[]} */
  const all = (selector, within = document) => /** @type {Part[]} */ ([...within.querySelectorAll(selector)]);
  const colour = Evenhand.colour;
  const clock = (seconds) => Evenhand.clock(seconds);

  // Copy buttons: data-copy names the element whose text or value is meant.
  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = find(`#${button.dataset.copy}`);
      const text = source.value ?? source.textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        if (source.select) source.select();
        else getSelection()?.selectAllChildren(source);
        button.textContent = "Press Ctrl+C";
      }
    });
  }

  for (const button of all("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }

  // Best so far: one step line a session, on the budget's clock.
  const RANGES = [0.5, 1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 1440, 2880];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

  class BestChart {
    constructor(host) {
      this.host = host;
      this.levels = Evenhand.charts.levelsOf(host);
      this.tip = document.createElement("div");
      this.tip.className = "chart-tip";
      this.tip.hidden = true;
      /** @type {number | null} the line that the pointer is near */
      this.near = null;
      new ResizeObserver(() => this.resize()).observe(host);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
      new MutationObserver(() => this.rebuild()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    }

    show(data) {
      const key = JSON.stringify([data.unit, data.lines.map((line) => [line.id, line.live])]);
      this.data = data;
      if (!data.lines.length) return;
      if (this.plot && key === this.key) this.plot.setData(this.columns());
      else this.rebuild();
      this.key = key;
    }

    // The leader's line is drawn last, so that it lies on top.
    get lines() { return [...this.data.lines].reverse(); }

    /** @returns {Columns} */
    columns() {
      const xs = [...new Set(this.lines.flatMap((line) => [...line.points.map((point) => point[0]), line.end]))].sort((a, b) => a - b);
      const column = (line) => xs.map((x) => {
        if (x > line.end) return null;
        const done = line.points.filter((point) => point[0] <= x);
        return done.length ? done[done.length - 1][1] : null;
      });
      return [xs, ...this.lines.map(column)];
    }

    end() {
      const reached = Math.max(...this.data.lines.map((line) => line.end)) * 1.05;
      if (this.data.unit !== "minutes") return Math.max(this.data.limit || 0, reached, 1);
      const nice = RANGES.find((minutes) => minutes >= reached) ?? reached;
      return this.data.limit ? Math.max(Math.min(nice, this.data.limit), reached / 1.05) : nice;
    }

    rebuild() {
      if (!this.data || !this.data.lines.length || !this.host.clientWidth) return;
      if (this.plot) this.plot.destroy();
      const { percent, unit } = this.data;
      const [person, machine, quiet, grid] = ["--person", "--machine", "--quiet", "--line"].map(colour);
      const people = this.lines.filter((line) => line.kind === "participant").length;
      let methods = 0;
      const series = this.lines.map((line) => {
        const isMethod = line.kind === "method";
        return {
          label: line.tuner, spanGaps: false, paths: uPlot.paths.stepped?.({ align: 1 }), points: { show: false },
          stroke: isMethod ? machine : person, width: isMethod || people < 6 ? 2.5 : 1.5,
          alpha: isMethod || people < 6 ? 1 : 0.55, dash: isMethod ? DASHES[methods++ % DASHES.length] : [],
        };
      });
      const font = "12px system-ui, sans-serif";
      const axis = { stroke: quiet, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
      const short = this.end() <= 3 && unit === "minutes";
      const small = short ? [1 / 60, 1 / 12, 1 / 6, 0.25, 0.5] : []; // minutes: below three of them ticks may be seconds apart
      const wide = this.host.clientWidth > 520;
      this.plot = new uPlot({
        width: this.host.clientWidth, height: this.host.clientHeight, padding: [10, wide ? 92 : 56, 0, 0],
        legend: { show: false }, focus: { alpha: 0.25 },
        cursor: { y: false, focus: { prox: 24 }, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: false, range: () => [0, this.end()] }, y: { range: (plot, low, high) => this.range(low, high) } },
        series: [{}, ...series],
        axes: [
          { ...axis, incrs: [...small, ...Evenhand.wholeSteps], size: 42, labelSize: 18, labelFont: font, label: unit === "minutes" ? "minutes of tuning, waiting is not counted" : `${unit} used`,
            values: (plot, ticks) => ticks.map((tick) => (short ? clock(tick * 60) : String(tick))) },
          { ...axis, size: wide ? 54 : 42, labelSize: 18, labelFont: font, label: this.host.dataset.metric, values: (plot, ticks) => ticks.map((tick) => (percent ? `${+tick.toFixed(2)} %` : String(+tick.toPrecision(4)))) },
        ],
        hooks: { drawAxes: [(plot) => { Evenhand.charts.paintLevels(plot, this.levels, this.unit); }], draw: [(plot) => this.label(plot)], setSeries: [(plot, index) => { this.near = index; this.hint(plot); }], setCursor: [(plot) => this.hint(plot)] },
      }, this.columns(), this.host);
      this.plot.over.appendChild(this.tip);
      this.host.dataset.axes = Evenhand.charts.axesOf(this.plot);
    }

    get unit() { return this.data.percent ? 100 : 1; }

    /** @returns {[number, number]} */
    range(lowest, highest) {
      const [low, high] = Evenhand.charts.withLevels(this.levels, this.unit, lowest, highest);
      const room = Math.max((high - low) * 0.12, this.data.percent ? 2 : Math.abs(high) * 0.02 || 1e-6);
      return this.data.percent ? [Math.max(0, low - room), Math.min(100, high + room)] : [low - room, high + room];
    }

    // Names at the ends of the lines: all of them where there is room, else methods and the first people.
    label(plot) {
      const pixels = devicePixelRatio || 1;
      const [most, some] = this.host.clientWidth > 520 ? [14, 4] : [4, 2];
      let people = 0;
      const chosen = this.data.lines.filter((line, rank) => this.data.lines.length <= most || rank === 0 || (line.kind === "method" ? rank < most : people++ < some));
      const { ctx, bbox } = plot;
      const colours = { method: colour("--machine"), participant: colour("--person") };
      const halo = colour("--surface");
      const [height, gap] = [14 * pixels, 9 * pixels];
      const taken = [];
      ctx.save();
      ctx.font = `600 ${12 * pixels}px system-ui, sans-serif`;
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      ctx.lineJoin = "round";
      for (const line of chosen) {
        const x = plot.valToPos(Math.min(line.end, plot.scales.x.max), "x", true);
        const y = plot.valToPos(line.points[line.points.length - 1][1], "y", true);
        const size = (line.live ? 4 : 3) * pixels;
        ctx.fillStyle = colours[line.kind];
        ctx.beginPath();
        if (line.kind === "method") ctx.rect(x - size, y - size, 2 * size, 2 * size);
        else ctx.arc(x, y, size, 0, 7);
        ctx.fill();
        const name = line.tuner.length > 13 ? `${line.tuner.slice(0, 12)}…` : line.tuner;
        const width = ctx.measureText(name).width;
        const free = (at) => at > bbox.top && at < bbox.top + bbox.height
          && taken.every((other) => x + gap > other.right || x + gap + width < other.left || Math.abs(at - other.y) >= height);
        const tries = [0, 1, -1, 2, -2, 3, -3].map((step) => y + step * height * 0.7);
        const at = tries.find(free);
        if (at === undefined) continue;
        taken.push({ left: x + gap, right: x + gap + width, y: at });
        ctx.strokeStyle = halo;
        ctx.lineWidth = 4 * pixels;
        ctx.strokeText(name, x + gap, at);
        ctx.fillText(name, x + gap, at);
      }
      ctx.restore();
    }

    hint(plot) {
      const { idx, left } = plot.cursor;
      const line = this.near ? this.lines[this.near - 1] : null;
      const value = this.near && idx != null ? plot.data[this.near][idx] : null;
      this.tip.hidden = value == null;
      if (value == null) return;
      const done = line.points.filter((point) => point[0] <= plot.data[0][idx]);
      const [at, , number] = done[done.length - 1];
      const shown = this.data.percent ? `${value.toFixed(1)} %` : String(+value.toPrecision(4));
      const when = this.data.unit === "minutes" ? `at ${clock(at * 60)}` : `after ${at} ${this.data.unit}`;
      this.tip.textContent = `${line.tuner}: ${shown} ${when}, trial ${number}`;
      const x = left + 14 + this.tip.offsetWidth > plot.over.clientWidth ? left - this.tip.offsetWidth - 14 : left + 14;
      this.tip.style.transform = `translate(${Math.max(0, x)}px, ${Math.max(0, plot.valToPos(value, "y") - 36)}px)`;
    }

    resize() {
      if (this.plot) this.plot.setSize({ width: this.host.clientWidth, height: this.host.clientHeight });
      else this.rebuild();
    }
  }

  // The chart's numbers as a table, for screen readers and for the curious.
  const fillTable = (body, data) => {
    const show = (value) => (data.percent ? `${value.toFixed(1)} %` : String(+value.toPrecision(4)));
    const when = (x) => (data.unit === "minutes" ? clock(x * 60) : `${x} ${data.unit}`);
    body.replaceChildren(...data.lines.map((line) => {
      const row = document.createElement("tr");
      const name = document.createElement("th");
      const cell = document.createElement("td");
      name.scope = "row";
      name.textContent = line.tuner;
      cell.textContent = line.points.map(([x, value]) => `${show(value)} at ${when(x)}`).join(", ");
      row.append(name, cell);
      return row;
    }));
  };

  const study = find("main.study[data-events]");
  if (study) {
    const chart = new BestChart(find("#chart-best"));
    const rows = find("#rows");
    const seen = new Map();
    let clocks = {};
    let at = performance.now();

    const tick = () => {
      const passed = (performance.now() - at) / 1000;
      for (const cell of all("[data-clock]", rows)) {
        const [text, left, ticking] = clocks[cell.dataset.clock] ?? [cell.closest("tr")?.dataset.left ?? "", null, false];
        const shown = ticking && left != null ? [clock(left - passed), ...text.split(", ").slice(1)].join(", ") : text;
        if (cell.textContent !== shown) cell.textContent = shown;
      }
    };
    const filter = find("#filter");
    const applyFilter = () => {
      const wanted = filter.value.trim().toLowerCase();
      for (const row of rows.rows) row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
    };
    // Ticked rows are what "only the ticked rows" means; ticking one chooses that.
    const count = () => {
      const ticked = all("input[name=session]:checked", rows).length;
      find("#picked-count").textContent = ticked ? `(${ticked})` : "";
      return ticked;
    };
    rows.addEventListener("change", () => {
      const picked = find("#picked");
      if (count() && !picked.disabled) picked.checked = true;
      else find("#act input[name=whom]").checked = true;
    });
    for (const what of all("#act input[name=what]")) {
      what.addEventListener("change", () => { find("#reason").required = what.value !== "resume"; });
    }
    // A row is replaced only where it changed (null: as it was sent before), and keeps its tick and the focus that was in it.
    const place = (list) => {
      list.forEach(([id, html], index) => {
        let row = find(`tr[data-row="${id}"]`, rows);
        if (!row) {
          row = /** @type {Part} */ (/** @type {HTMLElement} */ (document.createElement("tr")));
          row.dataset.row = id;
        }
        if (html !== null && seen.get(id) !== html) {
          const focused = row.contains(document.activeElement) ? document.activeElement?.matches("input") : null;
          const ticked = find("input:checked", row) !== null;
          row.innerHTML = html;
          const box = find("input", row);
          if (box) box.checked = ticked;
          if (focused !== null) (focused && box ? box : find(".cell-open a", row) ?? find("a", row)).focus();
          seen.set(id, html);
        }
        if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
      });
      const there = new Set(list.map(([id]) => id));
      for (const row of all("tr", rows)) if (!there.has(row.dataset.row)) row.remove();
      count();
      find("#no-rows").hidden = list.length > 0;
      filter.hidden = list.length < 6;
    };
    const draw = (data) => {
      find("#chart_none").hidden = data.lines.length > 0;
      find(".numbers", study).hidden = !data.lines.length;
      chart.show(data);
      fillTable(find("#chart-table tbody"), data);
    };
    const update = (state) => {
      at = performance.now();
      clocks = state.clocks;
      for (const [name, html] of Object.entries(state.parts)) {
        const part = document.getElementById(name);
        if (part && seen.get(name) !== html) part.innerHTML = html;
        seen.set(name, html);
      }
      place(state.rows);
      draw(state.curves);
      tick();
      applyFilter();
      const warning = find("#no-agent");
      if (warning) warning.hidden = !find("#agents .warn");
    };
    filter.addEventListener("input", applyFilter);
    draw(JSON.parse(find("#curves").textContent));
    tick();
    setInterval(tick, 500);
    Evenhand.follow(study.dataset.events, { state: update });
  }

  // One session: the shown trial's loss, every trial's validation, and the parts that the server renders anew.
  const [EPOCH, VALUE] = [2, 4];
  /** @type {(values: [number, number][]) => [number, number]} the epoch and value that came last, of some */
  const newest = (values) => values[values.length - 1];

  class EveryTrial {
    constructor(host, page) {
      this.host = host;
      this.kind = page.dataset.kind;
      this.percent = page.dataset.share === "yes";
      this.metric = page.dataset.metric;
      this.table = document.createElement("details");
      this.table.className = "chart-numbers";
      this.table.innerHTML = '<summary>The numbers of this chart</summary><div tabindex="0" role="group" aria-label="The numbers of this chart"></div>';
      this.table.addEventListener("toggle", () => this.fill());
      host.after(this.table);
      this.levels = Evenhand.charts.levelsOf(host);
      /** @type {Record<number, [number, number][]>} */
      this.values = {};
      /** @type {number | null} */
      this.shown = null;
      /** @type {number[]} the trials that have values, the shown one last */
      this.numbers = [];
      /** @type {number | null} the line that the pointer is near */
      this.near = null;
      /** @type {uPlot | null} */
      this.plot = null;
      this.frame = 0;
      this.tip = document.createElement("div");
      this.tip.className = "chart-tip";
      this.tip.hidden = true;
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
      new ResizeObserver(() => this.draw()).observe(host);
    }

    set(number, points) {
      this.values[number] = [];
      this.append(number, points);
    }

    append(number, points) {
      const fresh = points.filter((point) => point[EPOCH] !== null && point[VALUE] !== null);
      this.values[number] = [...(this.values[number] ?? []), ...fresh.map((point) => [point[EPOCH], point[VALUE]])];
      if (fresh.length || number !== this.shown) this.draw();
    }

    // Who proposed a trial: the row of the table says it.
    by(number) { return find(`tr[data-trial="${number}"]`)?.dataset.by ?? this.kind; }

    say(value) { return this.percent ? `${value.toFixed(1)}\u202f%` : String(+value.toPrecision(4)); }

    draw() {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.paint());
    }

    paint() {
      // The shown trial is drawn last, so that it lies on top.
      this.numbers = Object.keys(this.values).map(Number).filter((number) => this.values[number].length)
        .sort((a, b) => Number(a === this.shown) - Number(b === this.shown) || a - b);
      this.plot?.destroy();
      this.plot = null;
      find("#value-empty").hidden = this.numbers.length > 0;
      if (!this.numbers.length || !this.host.clientWidth) return;
      const unit = this.percent ? 100 : 1;
      const planned = Number(find(`tr[data-trial="${this.shown}"]`)?.dataset.planned ?? 0);
      const last = Math.max(2, planned, ...this.numbers.map((number) => newest(this.values[number])[0]));
      const epochs = Array.from({ length: last }, (_, index) => index + 1);
      const columns = this.numbers.map((number) => {
        const byEpoch = new Map(this.values[number]);
        return epochs.map((epoch) => { const value = byEpoch.get(epoch); return value === undefined ? null : value * unit; });
      });
      const [person, machine, quiet, line] = ["--person", "--machine", "--quiet", "--line"].map(colour);
      const tone = this.by(this.shown) === "method" ? machine : person;
      // Trials of whoever the session is not named after stand out among the others.
      const other = (number) => (this.by(number) === this.kind ? quiet : person);
      const font = "12px system-ui, sans-serif";
      const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
      const drawn = this.plot = new uPlot({
        width: this.host.clientWidth, height: this.host.clientHeight, padding: [8, 34, 0, 0], legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, focus: { prox: 16 }, points: { size: 6 } }, focus: { alpha: 0.35 },
        scales: { x: { time: false, range: [1, last] }, ...(this.levels.length ? { y: { range: (plot, low, high) => Evenhand.charts.rangeOfShares(this.levels, unit, low, high) } } : {}) },
        series: [{}, ...this.numbers.map((number, index) => (number === this.shown
          ? { stroke: tone, width: 2.5, spanGaps: true, points: { show: true, size: 7, fill: tone } }
          : { stroke: other(number), alpha: 0.55, width: 1.25, spanGaps: true, points: { show: columns[index].filter((value) => value !== null).length === 1, size: 5, fill: other(number) } }))],
        axes: [{ ...axis, size: 32, labelSize: 18, labelFont: font, label: "epoch", incrs: Evenhand.wholeSteps, space: 40 },
          { ...axis, size: 50, labelSize: 18, labelFont: font, label: `validation ${this.metric}`, values: (plot, ticks) => ticks.map((tick) => (this.percent ? `${+tick.toFixed(2)} %` : String(+tick.toPrecision(4)))) }],
        hooks: { drawAxes: [(plot) => { Evenhand.charts.paintLevels(plot, this.levels, unit); }], draw: [(plot) => this.label(plot, unit, tone)], setSeries: [(plot, index) => { this.near = index; this.hint(plot); }], setCursor: [(plot) => this.hint(plot)] },
      }, [epochs, ...columns], this.host);
      this.tip.hidden = true;
      drawn.over.append(this.tip);
      this.host.dataset.axes = Evenhand.charts.axesOf(drawn);
      this.fill();
    }

    fill() {
      if (!this.table.open) return;
      const rows = this.numbers.flatMap((number) => this.values[number].map(([epoch, value]) => [String(number), String(epoch), this.say(value * (this.percent ? 100 : 1))]));
      find("div", this.table).replaceChildren(Evenhand.charts.table(["Trial", "Epoch", `Validation ${this.metric}`], rows));
    }

    // The shown trial's number at the end of its line.
    label(plot, unit, tone) {
      const values = this.shown === null ? null : this.values[this.shown];
      if (!values?.length) return;
      const pixels = devicePixelRatio || 1;
      const [epoch, value] = newest(values);
      plot.ctx.save();
      plot.ctx.font = `600 ${12 * pixels}px system-ui, sans-serif`;
      plot.ctx.textAlign = "left";
      plot.ctx.textBaseline = "middle";
      plot.ctx.fillStyle = tone;
      plot.ctx.fillText(String(this.shown), plot.valToPos(epoch, "x", true) + 9 * pixels, plot.valToPos(value * unit, "y", true));
      plot.ctx.restore();
    }

    hint(plot) {
      const { idx, left } = plot.cursor;
      const value = this.near && idx != null ? plot.data[this.near][idx] : null;
      this.tip.hidden = value == null;
      if (value == null || this.near === null) return;
      this.tip.textContent = `trial ${this.numbers[this.near - 1]}: ${this.say(value)} after epoch ${plot.data[0][idx]}`;
      const x = Math.min(left + 14, plot.over.clientWidth - this.tip.offsetWidth);
      this.tip.style.transform = `translate(${Math.max(0, x)}px, ${Math.max(0, plot.valToPos(value, "y") - 36)}px)`;
    }
  }

  const session = find("main.session-page[data-session]");
  if (session) {
    const address = `${Evenhand.root}/sessions/${session.dataset.session}`;
    const token = find('meta[name="csrf-token"]').content;
    const loss = Evenhand.charts.loss(find("#chart-loss"), { kind: session.dataset.kind });
    const every = new EveryTrial(find("#chart-value"), session);
    const texts = new Map();
    /** @type {number | null} */
    let left = null;
    let at = performance.now();
    /** @type {number | null} the trial that the stream follows */
    let followed = null;
    /** @type {Point[]} its points */
    let points = [];
    /** @type {number | null} a trial that the reader chose to see instead */
    let pinned = null;

    const json = async (path) => {
      const answer = await fetch(`${address}${path}`, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    };
    const mark = () => {
      for (const row of all("tr[data-trial]")) row.classList.toggle("shown", Number(row.dataset.trial) === every.shown);
      find("#loss-title").textContent = every.shown ? `Training loss of trial ${every.shown}` : "Training loss";
    };
    const show = async (number) => {
      every.shown = number;
      const list = number === followed ? points : (await json(`/trials/${number}/curve`)).points;
      if (every.shown !== number) return;
      loss.proposedBy(every.by(number));
      loss.set(list);
      every.draw();
      mark();
    };
    const measured = (message) => {
      const fresh = message.reset || message.number !== followed;
      followed = message.number;
      points = fresh ? message.measurements : [...points, ...message.measurements];
      find(".session-charts").hidden = false;
      if (fresh) every.set(followed, points);
      else every.append(followed, message.measurements);
      if (pinned !== null && pinned !== followed) return;
      if (fresh || every.shown !== followed) show(followed);
      else loss.append(message.measurements);
    };
    // Replace what changed, and keep what the reader opened and where the focus is.
    const swap = (old, html) => {
      const opened = all("details", old).map((details) => details.open);
      const focused = old.contains(document.activeElement) ? all("a, button, summary, input", old).indexOf(/** @type {Part} */ (document.activeElement)) : -1;
      old.innerHTML = html;
      all("details", old).forEach((details, index) => { details.open = opened[index] ?? false; });
      if (focused >= 0) all("a, button, summary, input", old)[focused]?.focus();
    };
    const place = (host, html) => {
      if (!host) return;
      const fresh = document.createElement("template");
      fresh.innerHTML = html;
      for (const input of all('input[name="csrf_token"]', fresh.content)) input.setAttribute("value", token); // they are everybody's
      html = fresh.innerHTML;
      const [rows, body] = [all("tr[data-trial]", fresh.content), find("tbody", host)];
      if (host.id !== "trials" || !rows.length || !body || all("tr[data-trial]", host).length !== rows.length
        || body.rows[0].dataset.trial !== rows[0].dataset.trial) {
        swap(host, html);
        return;
      }
      rows.forEach((row, index) => {
        const old = body.rows[index];
        if (texts.get(row.dataset.trial) !== row.innerHTML) swap(old, row.innerHTML);
        texts.set(row.dataset.trial, row.innerHTML);
        old.classList.toggle("best", row.classList.contains("best"));
      });
    };
    const readClock = () => {
      const shown = find("[data-left]", session);
      left = shown && shown.dataset.left ? Number(shown.dataset.left) : null;
      at = performance.now();
    };
    const update = (parts) => {
      for (const [name, html] of Object.entries(parts)) place(document.getElementById(name), html);
      if ("status" in parts) readClock();
      if ("trials" in parts && every.shown) loss.proposedBy(every.by(every.shown));
      mark();
    };
    session.addEventListener("click", (event) => {
      const button = /** @type {Part} */ (event.target).closest("[data-show]");
      if (!button) return;
      pinned = Number(button.dataset.show);
      show(pinned).catch(() => {});
    });
    setInterval(() => {
      const shown = find("[data-left]", session);
      if (left === null || !shown) return;
      const text = [clock(left - (performance.now() - at) / 1000), ...shown.textContent.split(", ").slice(1)].join(", ");
      if (shown.textContent !== text) shown.textContent = text;
    }, 500);
    readClock();
    json("/curves").then((values) => {
      every.values = { ...values, ...every.values };
      every.draw();
    }).catch(() => {});
    Evenhand.follow(session.dataset.events ?? `${address}/events`, { points: measured, state: update });
  }
})();
