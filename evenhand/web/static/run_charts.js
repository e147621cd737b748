// The charts of a run: the curves of hundreds of its trials at once, and the best so far against trials. Fills Evenhand.runCharts.
//
//   const curves = Evenhand.runCharts.curves(host, { metric, percent, kind });
//   curves.add({ numbers, starts, own, epochs, values });          // columns, as /run/curves gives them
//   curves.mark({ best: 37, chosen: null, pinned: [3] });
//   const progress = Evenhand.runCharts.progress(host, { metric, percent, kind, maximize });
//   progress.set({ trials, gains: { numbers, values }, dots: { numbers, values } });
//
// Axes are uPlot's; the curves are drawn within its plot by this script, since hundreds of series are too slow for it.
"use strict";
(() => {
  const FONT = "12px system-ui, sans-serif";
  const NARROW = 500; // px of a chart's width below which names have little room
  const NEAR = 28; // px from the pointer within which a curve is the one that is meant
  const SPREAD = 6; // times the spread of the middle 90 % of values, beyond which a value does not set the scale
  const colour = Evenhand.colour;
  const shown = (value, percent) => (percent ? `${(100 * value).toFixed(1)}\u202f%` : String(+value.toPrecision(4)));
  const tick = (value, percent) => (percent ? `${+value.toFixed(2)}\u202f%` : String(+value.toPrecision(4)));

  // What of values an axis shows: all of them, but for some few that lie far from the others.
  const rangeOf = (values, least = []) => {
    const sorted = Float64Array.from(values).sort();
    if (!sorted.length) return [0, 1];
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const [low, high] = [at(0.05), at(0.95)];
    const room = SPREAD * Math.max(high - low, 1e-12);
    const [bottom, top] = [Math.max(at(0), low - room), Math.min(at(1), high + room)];
    return [Math.min(bottom, ...least), Math.max(top, ...least)];
  };

  class RunChart {
    constructor(host, options) {
      this.host = host;
      this.options = options;
      this.unit = options.percent ? 100 : 1;
      this.levels = Evenhand.charts.levelsOf(host);
      /** @type {uPlot | null} */
      this.plot = null;
      this.frame = 0;
      this.tip = document.createElement("div");
      this.tip.className = "chart-tip";
      this.tip.hidden = true;
      this.table = document.createElement("details");
      this.table.className = "chart-numbers";
      this.table.innerHTML = '<summary>The numbers of this chart</summary><div tabindex="0" role="group" aria-label="The numbers of this chart"></div>';
      this.table.addEventListener("toggle", () => this.fill());
      host.after(this.table);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
      new ResizeObserver(() => this.draw()).observe(host);
    }

    // What each of the two draws.
    /** @returns {[uPlot.AlignedData, Partial<uPlot.Options> & Pick<uPlot.Options, "series">] | null} */
    parts() { return null; }
    /** @returns {[string[], string[][]]} */
    cells() { return [[], []]; }

    draw() {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.paint());
    }

    paint() {
      if (!this.host.clientWidth) return;
      const made = this.parts();
      this.plot?.destroy();
      this.plot = null;
      if (!made) return;
      const [data, parts] = made;
      this.plot = new uPlot({ width: this.host.clientWidth, height: this.host.clientHeight, legend: { show: false }, padding: [10, 28, 0, 0], axes: this.axes(), ...parts }, data, this.host);
      this.tip.hidden = true;
      this.plot.over.append(this.tip);
      this.host.dataset.axes = Evenhand.charts.axesOf(this.plot);
      this.fill();
    }

    axes() {
      const { metric, percent, across } = this.options;
      const axis = { stroke: colour("--eh-quiet"), font: FONT, grid: { stroke: colour("--eh-line"), width: 1 }, ticks: { show: false }, labelSize: 18, labelFont: FONT };
      return [
        { ...axis, size: 32, label: across, incrs: Evenhand.wholeSteps, space: 50 },
        { ...axis, size: 54, label: `validation ${metric}`, values: (plot, ticks) => ticks.map((value) => tick(value, percent)) },
      ];
    }

    /** @type {(low: number, high: number) => [number, number]} */
    range(low, high) {
      if (this.levels.length) return Evenhand.charts.rangeOfShares(this.levels, this.unit, low, high);
      const room = (high - low || Math.abs(high) || 1) * 0.06;
      return [low - room, high + room];
    }

    fill() {
      if (!this.table.open) return;
      const host = this.table.querySelector("div");
      host?.replaceChildren(Evenhand.charts.table(...this.cells()));
    }

    say(words, x, y) {
      this.tip.hidden = !words;
      if (!words || !this.plot) return;
      this.tip.textContent = words;
      const left = Math.max(0, Math.min(x + 14, this.plot.over.clientWidth - this.tip.offsetWidth));
      this.tip.style.transform = `translate(${left}px, ${Math.max(0, y - 34)}px)`;
    }
  }

  class Curves extends RunChart {
    constructor(host, options) {
      super(host, { across: "epoch", ...options });
      /** @type {Map<number, { epochs: number[], values: number[], own: boolean }>} */
      this.curves = new Map();
      /** @type {{ best: number | null, chosen: number | null, pinned: number[], subject: number | null }} */
      this.marks = { best: null, chosen: null, pinned: [], subject: null }; // subject: whose page it is
      /** @type {number | null} */
      this.near = null;
    }

    add({ numbers, starts, own, epochs, values }) {
      numbers.forEach((number, place) => {
        const [from, to] = [starts[place], starts[place + 1] ?? epochs.length];
        this.curves.set(number, { epochs: epochs.slice(from, to), values: values.slice(from, to), own: Boolean(own[place]) });
      });
      this.draw();
    }

    keep(numbers) {
      const wanted = new Set(numbers);
      for (const number of this.curves.keys()) if (!wanted.has(number)) this.curves.delete(number);
    }

    mark(marks) {
      this.marks = { ...this.marks, ...marks };
      this.draw();
    }

    /** @returns {[uPlot.AlignedData, Partial<uPlot.Options> & Pick<uPlot.Options, "series">] | null} */
    parts() {
      const all = [...this.curves.values()];
      if (!all.length) return null;
      const last = Math.max(2, ...all.map((curve) => curve.epochs[curve.epochs.length - 1]));
      const special = [this.marks.best, this.marks.chosen].flatMap((number) => (number === null ? [] : this.curves.get(number)?.values.slice(-1) ?? []));
      const [low, high] = rangeOf(all.flatMap((curve) => curve.values), special);
      const range = this.range(low * this.unit, high * this.unit);
      /** @type {uPlot.AlignedData} */
      const data = [[1, last], [null, null]];
      return [data, {
        padding: [14, this.isNarrow ? 76 : 120, 0, 0],
        cursor: { points: { show: false }, drag: { x: false, y: false }, y: false },
        scales: { x: { time: false, range: [1, last] }, y: { range: () => range } },
        series: [{}, {}],
        hooks: {
          drawAxes: [(plot) => { Evenhand.charts.paintLevels(plot, this.levels, this.unit); }],
          draw: [(plot) => this.lines(plot)],
          setCursor: [(plot) => this.point(plot)],
          ready: [(plot) => plot.over.addEventListener("click", () => { if (this.near !== null) this.options.open?.(this.near); })],
        },
      }];
    }

    // The lines: the many, then those that are marked, and the one that the pointer is near on top, each of these with its name.
    lines(plot) {
      const { ctx, bbox } = plot;
      const pixels = devicePixelRatio || 1;
      const { best, chosen, pinned, subject } = this.marks;
      const named = [...new Set([...pinned, chosen, best, subject, this.near])].filter((number) => number !== null && this.curves.has(number));
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.lineJoin = "round";
      ctx.lineWidth = pixels;
      ctx.globalAlpha = Math.max(0.25, Math.min(0.7, 40 / this.curves.size));
      for (const own of [true, false]) {
        ctx.strokeStyle = ctx.fillStyle = colour(own ? "--eh-quiet" : "--eh-people-mark");
        for (const [number, curve] of this.curves) if (curve.own === own && !named.includes(number)) this.line(plot, curve);
      }
      ctx.globalAlpha = 1;
      for (const number of named) {
        const curve = /** @type {{ epochs: number[], values: number[], own: boolean }} */ (this.curves.get(/** @type {number} */ (number)));
        ctx.lineWidth = (number === this.near ? 2.5 : 2) * pixels;
        ctx.strokeStyle = ctx.fillStyle = colour(this.shade(number, "-mark"));
        ctx.setLineDash(pinned.includes(/** @type {number} */ (number)) && ![best, chosen, subject, this.near].includes(number) ? [5 * pixels, 3 * pixels] : []);
        this.line(plot, curve);
      }
      ctx.restore();
      this.names(plot, named);
    }

    // The colour of a line that has a name, or of the name.
    shade(number, mark = "") {
      const { best, chosen, subject } = this.marks;
      const mine = `${this.options.kind === "method" ? "--eh-methods" : "--eh-people"}${mark}`;
      if (number === this.near) return "--eh-text";
      if (subject !== null) return number === subject ? mine : "--eh-quiet";
      return number === chosen ? "--eh-good" : number === best ? mine : "--eh-text";
    }

    line(plot, { epochs, values }) {
      const { ctx } = plot;
      const [x, y] = [(at) => plot.valToPos(epochs[at], "x", true), (at) => plot.valToPos(values[at] * this.unit, "y", true)];
      if (epochs.length === 1) {
        ctx.fillRect(x(0) - 2, y(0) - 2, 4, 4);
        return;
      }
      ctx.beginPath();
      for (let at = 0; at < epochs.length; at += 1) ctx.lineTo(x(at), y(at));
      ctx.stroke();
    }

    get isNarrow() { return this.host.clientWidth < NARROW; }

    names(plot, named) {
      const { ctx, bbox } = plot;
      const pixels = devicePixelRatio || 1;
      const taken = [];
      ctx.save();
      ctx.font = `600 ${11 * pixels}px system-ui, sans-serif`;
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      for (const number of [...named].reverse()) {
        const curve = this.curves.get(number);
        const value = curve?.values[curve.values.length - 1];
        if (value === undefined) continue;
        const aim = Math.max(bbox.top, Math.min(bbox.top + bbox.height, plot.valToPos(value * this.unit, "y", true)));
        const y = [0, -1, 1, -2, 2, -3, 3].map((step) => aim + step * 13 * pixels).find((place) => taken.every((other) => Math.abs(place - other) >= 12 * pixels)) ?? aim;
        taken.push(y);
        const isChosen = number === this.marks.chosen;
        const isBest = number === this.marks.best && !(isChosen && this.isNarrow); // there is room for one word
        const words = [isChosen ? "chosen" : "", isBest ? "best" : ""].filter(Boolean).join(", ");
        ctx.fillStyle = colour(this.shade(number));
        ctx.fillText(`${number.toLocaleString("en")}${words ? ` ${words}` : ""}`, bbox.left + bbox.width + 6 * pixels, y);
      }
      ctx.restore();
    }

    point(plot) {
      const { left, top } = plot.cursor;
      const before = this.near;
      this.near = null;
      let words = "";
      if (left != null && top != null && left >= 0) {
        let least = NEAR;
        for (const [number, { epochs, values }] of this.curves) {
          const epoch = plot.posToVal(left, "x");
          let at = epochs.findIndex((one) => one >= epoch);
          if (at < 0) {
            if (plot.valToPos(epochs[epochs.length - 1], "x") < left - NEAR) continue;
            at = epochs.length - 1;
          }
          const share = at && epochs[at] > epoch ? (epochs[at] - epoch) / (epochs[at] - epochs[at - 1]) : 0;
          const value = values[at] + share * (values[Math.max(0, at - 1)] - values[at]);
          const away = Math.abs(plot.valToPos(value * this.unit, "y") - top);
          if (away < least) {
            least = away;
            this.near = number;
            words = `trial ${number}: ${shown(values[at], this.options.percent)} after epoch ${epochs[at]}`;
          }
        }
      }
      this.host.dataset.near = this.near === null ? "" : String(this.near);
      plot.over.classList.toggle("can-open", this.near !== null);
      this.say(words, left ?? 0, top ?? 0);
      if (before !== this.near) plot.redraw(false);
    }

    /** @returns {[string[], string[][]]} */
    cells() {
      const { best, chosen } = this.marks;
      const rows = [...this.curves].sort(([one], [other]) => one - other).map(([number, { epochs, values }]) => {
        const words = [number === best ? "best" : "", number === chosen ? "chosen" : ""].filter(Boolean).join(", ");
        return [`${number}${words ? ` (${words})` : ""}`, String(epochs[epochs.length - 1]), shown(values[values.length - 1], this.options.percent)];
      });
      return [["Trial", "Last epoch", `Validation ${this.options.metric} there`], rows];
    }
  }

  class Progress extends RunChart {
    constructor(host, options) {
      super(host, { across: "trials", ...options });
      /** @type {{ trials: number, gains: { numbers: number[], values: number[] }, dots: { numbers: number[], values: number[] } }} */
      this.content = { trials: 0, gains: { numbers: [], values: [] }, dots: { numbers: [], values: [] } };
    }

    set(content) {
      this.content = content;
      this.draw();
    }

    /** @returns {[uPlot.AlignedData, Partial<uPlot.Options> & Pick<uPlot.Options, "series">] | null} */
    parts() {
      const { trials, gains, dots } = this.content;
      if (!gains.numbers.length && !dots.numbers.length) return null;
      const numbers = [...new Set([...gains.numbers, ...dots.numbers, trials])].sort((one, other) => one - other);
      const [best, value] = [new Map(), new Map()];
      gains.numbers.forEach((number, at) => best.set(number, gains.values[at] * this.unit));
      dots.numbers.forEach((number, at) => value.set(number, dots.values[at] * this.unit));
      if (gains.values.length) best.set(trials, gains.values[gains.values.length - 1] * this.unit);
      const [low, high] = rangeOf([...value.values(), ...best.values()], gains.values.slice(-1).map((last) => last * this.unit));
      const range = this.range(low, high);
      const mine = colour(this.options.kind === "method" ? "--eh-methods-mark" : "--eh-people-mark");
      const quiet = colour("--eh-quiet");
      const column = (of) => numbers.map((number) => of.get(number) ?? null);
      /** @type {uPlot.AlignedData} */
      const data = [numbers, column(value), column(best)];
      return [data, {
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        scales: { x: { time: false, range: [0, Math.max(2, trials)] }, y: { range: () => range } },
        series: [
          {},
          { stroke: quiet, paths: () => null, points: { show: true, size: trials > 400 ? 2.5 : 4, fill: quiet, width: 0 }, alpha: trials > 400 ? 0.4 : 0.6 },
          { stroke: mine, width: 2.25, spanGaps: true, paths: uPlot.paths.stepped?.({ align: 1 }), points: { show: gains.numbers.length === 1, size: 7, fill: mine } },
        ],
        hooks: {
          drawAxes: [(plot) => { Evenhand.charts.paintLevels(plot, this.levels, this.unit); }],
          setCursor: [(plot) => this.point(plot)],
        },
      }];
    }

    point(plot) {
      const { idx, left, top } = plot.cursor;
      const { gains, dots } = this.content;
      let words = "";
      if (idx != null && left != null && left >= 0) {
        const number = plot.data[0][idx];
        const at = gains.numbers.filter((one) => one <= number).length - 1;
        const own = dots.numbers.indexOf(number);
        words = [
          own >= 0 ? `trial ${number}: ${shown(dots.values[own], this.options.percent)}` : "",
          at >= 0 ? `best until then ${shown(gains.values[at], this.options.percent)}, trial ${gains.numbers[at]}` : "",
        ].filter(Boolean).join(" · ");
      }
      this.say(words, left ?? 0, top ?? 0);
    }

    /** @returns {[string[], string[][]]} */
    cells() {
      const { gains } = this.content;
      return [["Trial", "New best"], gains.numbers.map((number, at) => [String(number), shown(gains.values[at], this.options.percent)])];
    }
  }

  window.Evenhand.runCharts = {
    curves: (host, options) => new Curves(host, options),
    progress: (host, options) => new Progress(host, options),
  };
})();
