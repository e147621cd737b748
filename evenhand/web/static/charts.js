// Charts of one trial, drawn by uPlot: its loss, and its validation beside other trials'; and of a class's leaders. Fills
// window.Evenhand.charts.
//
//   const loss = Evenhand.charts.loss(host, { kind: "participant" });
//   loss.set(points); loss.append(points); loss.stepsPerEpoch(203);   // points: [index, step, epoch or null, loss, value, seconds]
//   const validation = Evenhand.charts.validation(host, { kind, percent: true, epochs: 10 });
//   validation.set(number, points); validation.append(points); validation.plan(epochs);
//   validation.compare([{ number, values: [[epoch, value], ...] }]); validation.best({ number, value } or null);
//   const leaders = Evenhand.charts.leaders(host, { percent: true, metric: "accuracy" });
//   leaders.set([{ name, values: [[trial, best so far], ...] }]);
//
//
// Lines for chance and a baseline come from `data-levels` of the page: [[name, share], ...].
//
// Any number of calls within one frame are drawn once. After drawing, host.dataset.index is the last index that is painted.
"use strict";
(() => {
  const SANS = "system-ui, sans-serif";
  const SMALL = 12, LARGE = 18; // px of a chart's letters, and of one for the wall
  const WALL = 700; // px of width from which a chart for the wall has large letters
  const DASHES = [[6, 4], [2, 3], [10, 3, 2, 3], [14, 5]];
  const INDEX = 0, STEP = 1, EPOCH = 2, LOSS = 3, VALUE = 4;
  const TABLE_EVERY = 1000; // ms between two fillings of an opened table

  const colour = Evenhand.colour;
  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  // Numbers so large that their distance might be none are drawn nearer to 0; their words say what they are.
  const LARGEST_DRAWN = 1e305;
  /** @type {<T extends number | null>(value: T) => T} */
  const near = (value) => /** @type {any} */ (value === null ? null : Math.max(-LARGEST_DRAWN, Math.min(LARGEST_DRAWN, value)));
  const finite = (value) => (Number.isFinite(value) ? value : null);
  const tone = (kind) => (kind === "method" ? "--eh-methods-mark" : "--eh-people-mark");

  const shown = (percent, tick) => `${tick ? +percent.toFixed(2) : percent.toFixed(1)}\u202f%`;
  // The levels that an accuracy is read against (chance, a simple baseline): a fine line across the plot each, with its name.
  /** @type {(host: Part) => Level[]} */
  const levelsOf = (host) => JSON.parse(host.closest("[data-levels]")?.dataset.levels || "[]");
  /** @type {(levels: Level[], unit: number, low: number, high: number) => [number, number]} */
  const withLevels = (levels, unit, low, high) => {
    const values = levels.map(([, value]) => value * unit);
    return [Math.min(low, ...values), Math.max(high, ...values)];
  };
  // What is shown of accuracies and their levels: within 0 and 100 %.
  /** @type {(levels: Level[], unit: number, lowest: number, highest: number) => [number, number]} */
  const rangeOfShares = (levels, unit, lowest, highest) => {
    const [low, high] = withLevels(levels, unit, lowest, highest);
    const room = Math.max((high - low) * 0.1, 0.02 * unit);
    return [Math.max(0, low - room), Math.min(unit, high + room)];
  };
  const NAME_SIZE = 11; // px of a name's letters, but for the wall
  const NAME_GAP = 3, NAME_EDGE = 6; // pixels of the page between a name and its line, and beside the plot's edge
  const AT_END = 36, AT_END_HEIGHT = 8; // pixels of the page beside and above the end of a line that its own name takes
  /** @type {(one: Box, other: Box) => boolean} */
  const meet = (one, other) => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  // What a plot's lines take, piece by piece, with the names at their ends.
  /** @type {(plot: uPlot) => Box[]} */
  const drawnBoxes = (plot) => {
    const pixels = devicePixelRatio || 1;
    const across = plot.data[0].map((value) => plot.valToPos(value, "x", true));
    return plot.data.slice(1).flatMap((column) => {
      /** @type {Box[]} */
      const pieces = [];
      let [x, y] = [NaN, NaN];
      for (const [index, value] of [...column].entries()) {
        if (value == null) continue;
        const [before, height] = [x, y];
        [x, y] = [across[index], plot.valToPos(value, "y", true)];
        if (y === height) pieces[pieces.length - 1].right = x + pixels; // a flat stretch is one piece
        else {
          const [top, bottom] = [Math.min(y, height || y), Math.max(y, height || y)];
          pieces.push({ left: (before || x) - pixels, right: x + pixels, top: top - pixels, bottom: bottom + pixels });
        }
      }
      if (pieces.length) pieces.push({ left: x, right: x + AT_END * pixels, top: y - AT_END_HEIGHT * pixels, bottom: y + AT_END_HEIGHT * pixels });
      return pieces;
    });
  };
  // Where the name of a level line stands: at the right, the left or amid, above or below, where nothing of `taken` is.
  /** @type {(plot: Pick<uPlot, "bbox">, width: number, height: number, y: number, taken: Box[]) => Box} */
  const placeOfName = ({ bbox }, width, height, y, taken) => {
    const pixels = devicePixelRatio || 1;
    const [gap, edge] = [NAME_GAP * pixels, NAME_EDGE * pixels];
    const lefts = [bbox.left + bbox.width - edge - width, bbox.left + edge, bbox.left + (bbox.width - width) / 2];
    const tops = [y - gap - height, y + gap].filter((top) => top >= bbox.top && top + height <= bbox.top + bbox.height);
    const boxes = (tops.length ? tops : [y + gap]).flatMap((top) => lefts.map((left) => ({ left, right: left + width, top, bottom: top + height })));
    return boxes.find((box) => taken.every((other) => !meet(box, other))) ?? boxes[0];
  };
  // A level's fine line with its name, behind all that is drawn later; the place of the name joins `taken`.
  /** @type {(plot: uPlot, text: string, value: number, taken: Box[], look: { shade: string, weight: number, dash: number[], size: number }) => void} */
  const paintLevel = (plot, text, value, taken, { shade, weight, dash, size }) => {
    const { ctx, bbox } = plot;
    const pixels = devicePixelRatio || 1;
    const y = plot.valToPos(value, "y", true);
    ctx.save();
    ctx.font = `${weight} ${size * pixels}px ${SANS}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.strokeStyle = ctx.fillStyle = colour(shade);
    ctx.lineWidth = pixels;
    ctx.setLineDash(dash.map((length) => length * pixels));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    const box = placeOfName(plot, ctx.measureText(text).width, (size + 1) * pixels, y, taken);
    taken.push(box);
    ctx.fillText(text, box.left, (box.top + box.bottom) / 2);
    ctx.restore();
  };
  /** @type {(plot: uPlot, levels: Level[], unit: number, size?: number) => Box[]} the places that are taken then */
  const paintLevels = (plot, levels, unit, size = NAME_SIZE) => {
    const taken = levels.length ? drawnBoxes(plot) : [];
    const look = { shade: "--eh-quiet", weight: 400, dash: [6, 2, 1, 2], size };
    for (const [name, value] of levels) paintLevel(plot, name, value * unit, taken, look);
    return taken;
  };


  /** @returns {never} */
  const own = () => { throw new Error("each kind of chart has its own"); };

  /** @type {(heads: string[], rows: string[][]) => HTMLTableElement} */
  const numbersTable = (heads, rows) => {
    const table = /** @type {Table} */ (make("table"));
    const head = make("tr");
    head.append(...heads.map((text) => { const cell = /** @type {HTMLTableCellElement} */ (make("th", "", text)); cell.scope = "col"; return cell; }));
    table.append(make("thead"), make("tbody"));
    table.tHead.append(head);
    table.tBodies[0].append(...rows.map((texts) => {
      const row = make("tr");
      row.append(...texts.map((text) => make("td", "", text)));
      return row;
    }));
    return table;
  };
  // What the axes say, where tests and readers of the page's source see it.
  /** @type {(plot: uPlot) => string} */
  const axesOf = (plot) => plot.axes.map((axis) => axis.label ?? "").join(" | ");

  // What every chart does: one drawing a frame, the host's size, the theme's colours, a table of its numbers, a tip.
  class Chart {
    constructor(host, options, waiting) {
      this.host = host;
      this.waiting = waiting;
      this.options = { kind: "participant", ...options };
      this.frame = 0;
      this.filled = 0;
      this.empty = make("p", "chart-empty", this.nothing());
      this.tip = make("div", "chart-tip");
      this.tip.hidden = true;
      host.append(this.empty);
      host.setAttribute("role", "img");
      this.numbers = this.table();
      new ResizeObserver(() => this.resize()).observe(host);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
      new MutationObserver(() => this.rebuild()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    }

    // What each kind of chart says for itself.
    /** @returns {{ across: string, up: string }} what the axes show, with its unit */
    names() { return own(); }
    /** @returns {Columns} */
    columns() { return own(); }
    /** @returns {Partial<uPlot.Options> & Pick<uPlot.Options, "series">} */
    parts() { return own(); }
    /** @returns {string} a chart whose key changes is drawn anew */
    key() { return own(); }
    /** @returns {number} the index of the newest measurement that it shows */
    last() { return own(); }
    /** @type {(value: number, tick?: boolean) => string} */
    show() { return own(); }
    /** @type {(plot: uPlot, index: number) => string} */
    words() { return own(); }
    /** @returns {{ heads: string[], rows: string[][] }} */
    cells() { return own(); }

    table() {
      const details = make("details", "chart-numbers");
      const body = make("div");
      details.append(make("summary", "", "The numbers of this chart"), body);
      details.addEventListener("toggle", () => this.fill(true));
      this.host.after(details);
      return { details, body };
    }

    fill(now = false) {
      if (!this.numbers.details.open) return;
      clearTimeout(this.later);
      const wait = now ? 0 : this.filled + TABLE_EVERY - performance.now();
      if (wait > 0) {
        this.later = setTimeout(() => this.fill(true), wait);
        return;
      }
      this.filled = performance.now();
      const { heads, rows } = this.cells();
      this.numbers.body.replaceChildren(rows.length ? numbersTable(heads, rows) : make("p", "", "No number yet."));
    }

    // What is said where there is nothing to draw.
    nothing() { return this.options.empty ?? this.waiting; }

    changed(rebuild = false) {
      this.stale = this.stale || rebuild;
      if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
    }

    rebuild() { this.changed(true); }

    resize() {
      const { clientWidth: width, clientHeight: height } = this.host;
      if (!width || !height) return;
      if (this.plot && this.key() === this.drawn) this.plot.setSize({ width, height });
      else this.changed(true);
    }

    draw() {
      this.frame = 0;
      const [across, ...columns] = this.columns();
      const data = /** @type {Columns} */ ([across, ...columns.map((column) => column.map(near))]);
      const isEmpty = !across.length;
      this.empty.hidden = !isEmpty;
      this.empty.textContent = this.nothing();
      this.fill();
      const { across: horizontal, up } = this.names();
      this.host.setAttribute("aria-label", `Chart: ${up} against ${horizontal}. The numbers are in the table below it.`);
      if (!this.host.clientWidth) return;
      const key = this.key();
      if (this.plot && !this.stale && key === this.drawn) this.plot.setData(data);
      else {
        if (this.plot) this.plot.destroy();
        this.plot = new uPlot(this.settings(), data, this.host);
        this.plot.over.append(this.tip);
        this.host.dataset.axes = axesOf(this.plot);
      }
      this.drawn = key;
      this.stale = false;
      this.host.dataset.index = String(this.last());
    }

    /** @returns {uPlot.Options} */
    settings() {
      const size = this.size();
      const font = `${size}px ${SANS}`;
      const { across, up } = this.names();
      const axis = { stroke: colour("--eh-quiet"), font, labelFont: font, labelGap: 2, labelSize: size + 6, ticks: { show: false } };
      const grid = { stroke: colour("--eh-line"), width: 1 };
      return {
        width: this.host.clientWidth, height: this.host.clientHeight, padding: [10, 14, 0, 0], legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        axes: [{ ...axis, label: across, grid: { show: false }, size: size * 2, space: size * 3.6, incrs: Evenhand.wholeSteps },
          { ...axis, label: up, grid, size: size * 4, space: size * 3, values: (plot, ticks) => ticks.map((tick) => this.show(tick, true)) }],
        hooks: { setCursor: [(plot) => this.hint(plot)], drawAxes: [(plot) => this.back(plot)], draw: [(plot) => this.paint(plot)] },
        ...this.parts(),
      };
    }

    // px of its letters
    size() { return this.options.large && this.host.clientWidth >= WALL ? LARGE : SMALL; }

    // What lies behind the lines, and what on them.
    /** @type {(plot: uPlot) => void} */
    back() {}
    /** @type {(plot: uPlot) => void} */
    paint() {}

    hint(plot) {
      const text = plot.cursor.idx == null || plot.cursor.left < 0 ? "" : this.words(plot, plot.cursor.idx);
      this.tip.hidden = !text;
      if (!text) return;
      this.tip.textContent = text;
      const { left } = plot.cursor;
      const x = left + 14 + this.tip.offsetWidth > plot.over.clientWidth ? left - this.tip.offsetWidth - 14 : left + 14;
      this.tip.style.transform = `translate(${Math.max(0, x)}px, 6px)`;
    }
  }

  // Loss: each batch as a thin line, the mean of each epoch as dots. The x axis counts epochs once their length is known.
  class Loss extends Chart {
    constructor(host, options = {}) {
      super(host, options, "The loss of each batch appears here.");
      /** @type {number | null} */
      this.perEpoch = null;
      /** @type {Point[]} */
      this.points = [];
      /** @type {number | null} the steps of an epoch, once they are known */
      this.known = null;
      this.set([]);
    }

    set(points) {
      this.points = [];
      this.known = this.perEpoch;
      this.append(points);
      this.changed();
    }

    append(points) {
      for (const point of points) {
        this.points.push(point);
        if (!this.known && point[EPOCH]) this.known = point[STEP] / point[EPOCH];
      }
      if (points.length) this.changed();
    }

    // How many steps an epoch takes, where that is known before the first has ended.
    stepsPerEpoch(steps) {
      this.perEpoch = steps || null;
      this.known = this.perEpoch ?? this.known;
      this.changed();
    }

    // The colour of whoever proposed the trial, where that differs from trial to trial.
    proposedBy(kind) {
      if (kind === this.options.kind) return;
      this.options.kind = kind;
      this.rebuild();
    }

    last() { return this.points.length ? this.points[this.points.length - 1][INDEX] : -1; }
    key() { return this.known ? "epochs" : "steps"; }
    names() { return { across: this.known ? "epochs" : "batches", up: "training loss" }; }
    show(value) { return Math.abs(value) >= 1e5 ? value.toExponential(0) : String(+value.toPrecision(4)); }

    // A function of one's own may report its metric and no loss.
    get hasLoss() { return this.points.some((point) => finite(point[LOSS]) !== null); }
    nothing() { return this.points?.length ? "No loss was reported." : super.nothing(); }

    /** @returns {Columns} */
    columns() {
      if (!this.hasLoss) return [[], [], []];
      const length = this.known ?? 1;
      return [
        this.points.map((point) => point[STEP] / length),
        this.points.map((point) => (point[EPOCH] === null ? finite(point[LOSS]) : null)),
        this.points.map((point) => (point[EPOCH] === null ? null : finite(point[LOSS]))),
      ];
    }

    // A loss that runs away leaves the chart at its top instead of flattening all that came before.
    /** @returns {[number, number]} */
    range() {
      const losses = this.points.map((point) => near(finite(point[LOSS]))).filter((loss) => loss !== null).sort((a, b) => a - b);
      if (!losses.length) return [0, 1];
      const at = (share) => losses[Math.floor(share * (losses.length - 1))];
      const [low, high] = [losses[0], Math.min(losses[losses.length - 1], Math.max(8 * at(0.5), 1.2 * at(0.1)) || Infinity)];
      const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.1;
      return [Math.max(low - room, low >= 0 ? 0 : -Infinity), high + room];
    }

    /** @returns {Partial<uPlot.Options> & Pick<uPlot.Options, "series">} */
    parts() {
      const line = colour(tone(this.options.kind));
      return {
        scales: {
          x: { time: false, range: (plot, low, high) => [0, this.known ? Math.max(1, Math.ceil(high - 1e-9)) : Math.max(10, high)] },
          y: { range: () => this.range() },
        },
        series: [{},
          { stroke: line, alpha: 0.45, width: 1, spanGaps: true, points: { show: false } },
          { stroke: line, width: 2.5, spanGaps: true, points: { show: true, size: 8, fill: line } }],
      };
    }

    words(plot, index) {
      const point = this.points[index];
      if (!point || point[LOSS] === null) return "";
      const where = point[EPOCH] === null ? `batch ${point[STEP].toLocaleString("en").replaceAll(",", "\u202f")}` : `mean of epoch ${point[EPOCH]}`;
      return `${where}: ${point[LOSS].toFixed(3)}`;
    }

    cells() {
      const epochs = this.points.filter((point) => point[EPOCH] !== null);
      const show = (loss) => (loss === null ? "–" : loss.toFixed(3));
      const rows = epochs.map((point) => [String(point[EPOCH]), String(point[STEP]), show(point[LOSS])]);
      const batch = this.points.findLast((point) => point[EPOCH] === null);
      if (batch) rows.push(["now", String(batch[STEP]), `${show(batch[LOSS])} (one batch)`]);
      return { heads: ["Epoch", "Batches", "Mean loss"], rows };
    }
  }

  // Validation after each epoch: this trial, those that are compared, and the best value so far as a dotted line.
  class Validation extends Chart {
    constructor(host, options = {}) {
      super(host, options, host.dataset.empty || "Validation appears here after the first epoch.");
      /** @type {{ number: number, values: [number, number][] }[]} */
      this.compared = [];
      /** @type {number | null} */
      this.number = null;
      /** @type {{ number: number, value: number } | null} */
      this.top = null;
      this.levels = levelsOf(host);
      this.epochs = this.options.epochs ?? 1;
      this.index = -1;
      /** @type {[number, number][]} */
      this.values = [];
    }

    set(number, points) {
      this.number = number;
      this.values = [];
      this.index = -1;
      this.append(points);
      this.changed();
    }

    append(points) {
      for (const point of points) {
        this.index = point[INDEX];
        if (point[EPOCH] !== null && finite(point[VALUE]) !== null) this.values.push([point[EPOCH], point[VALUE]]);
      }
      if (points.length) this.changed();
    }

    plan(epochs) { this.epochs = epochs || 1; this.changed(); }
    compare(trials) { this.compared = trials.filter((trial) => trial.number !== this.number); this.changed(); }
    best(best) { this.top = best; this.changed(); }

    last() { return this.index; }
    key() { return this.compared.map((trial) => trial.number).join(); }
    names() { return { across: "epoch", up: `validation ${this.options.metric ?? "score"}` }; }
    get unit() { return this.options.percent ? 100 : 1; }

    show(value, tick = false) { return this.options.percent ? shown(value, tick) : String(+value.toPrecision(4)); }

    /** @returns {Columns} */
    columns() {
      const all = [this.values, ...this.compared.map((trial) => trial.values)];
      if (all.every((values) => !values.length)) return [[], ...all.map(() => [])];
      const last = Math.max(this.epochs, ...all.flat().map(([epoch]) => epoch));
      const epochs = Array.from({ length: last }, (_, index) => index + 1);
      return [epochs, ...all.map((values) => {
        const byEpoch = new Map(values);
        return epochs.map((epoch) => { const value = byEpoch.get(epoch); return value === undefined ? null : value * this.unit; });
      })];
    }

    /** @type {(low: number, high: number) => [number, number]} */
    range(low, high) {
      const best = this.top ? [near(this.top.value * this.unit)] : [];
      const known = [...(low === null ? [] : [low]), ...(high === null ? [] : [high]), ...best];
      const [bottom, top] = withLevels(this.levels, this.unit, Math.min(...known), Math.max(...known));
      if (!Number.isFinite(bottom)) return [0, this.unit];
      const room = Math.max((top - bottom) * 0.15, this.options.percent ? 2 : Math.abs(top) * 0.05 || 1e-3);
      return this.options.percent ? [Math.max(0, bottom - room), Math.min(100, top + room)] : [bottom - room, top + room];
    }

    /** @returns {Partial<uPlot.Options> & Pick<uPlot.Options, "series">} */
    parts() {
      const [line, quiet] = [colour(tone(this.options.kind)), colour("--eh-quiet")];
      return {
        padding: [10, 30, 0, 0],
        scales: {
          x: { time: false, range: (plot, low, high) => [Math.max(0, 1 - Math.max(1, high ?? 1) * 0.04), Math.max(2, high ?? 2)] },
          y: { range: (plot, low, high) => this.range(low, high) },
        },
        series: [{}, { stroke: line, width: 2.5, spanGaps: true, points: { show: true, size: 8, fill: line } },
          ...this.compared.map((trial, index) => ({
            stroke: quiet, width: 1.5, spanGaps: true, dash: DASHES[index % DASHES.length],
            points: { show: trial.values.length === 1, size: 6, fill: quiet },
          }))],
      };
    }

    // Behind the lines: the levels, and the best value so far.
    back(plot) {
      const taken = this.levels.length ? paintLevels(plot, this.levels, this.unit) : drawnBoxes(plot);
      const look = { shade: "--eh-good", weight: 600, dash: [2, 3], size: NAME_SIZE };
      if (this.top) paintLevel(plot, `best so far, trial ${this.top.number}`, near(this.top.value * this.unit), taken, look);
    }

    // The trials' numbers at the ends of their lines.
    paint(plot) {
      const { ctx } = plot;
      const pixels = devicePixelRatio || 1;
      const taken = [];
      ctx.save();
      ctx.font = `600 ${11 * pixels}px ${SANS}`;
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      const label = (text, x, y) => {
        const free = (at) => taken.every((other) => Math.abs(at - other) >= 12 * pixels);
        const at = [0, -1, 1, -2, 2, -3, 3].map((step) => y + step * 7 * pixels).find(free) ?? y;
        taken.push(at);
        ctx.strokeText(text, x, at);
        ctx.fillText(text, x, at);
      };
      const lines = [{ number: this.number, values: this.values, name: tone(this.options.kind) }, ...this.compared.map((trial) => ({ ...trial, name: "--eh-quiet" }))];
      ctx.lineJoin = "round";
      ctx.lineWidth = 3 * pixels;
      ctx.strokeStyle = colour("--eh-surface");
      for (const { number, values, name } of lines) {
        if (!values.length || number === null) continue;
        const [epoch, value] = values[values.length - 1];
        ctx.fillStyle = colour(name);
        label(String(number), plot.valToPos(epoch, "x", true) + 9 * pixels, plot.valToPos(near(value * this.unit), "y", true));
      }
      ctx.restore();
    }

    words(plot, index) {
      const columns = this.columns();
      const texts = [this.number, ...this.compared.map((trial) => trial.number)].map((number, at) => {
        const value = columns[at + 1]?.[index];
        return value == null ? "" : `trial ${number}: ${this.show(value)}`;
      }).filter(Boolean);
      return texts.length ? `epoch ${plot.data[0][index]} · ${texts.join(" · ")}` : "";
    }

    cells() {
      const [epochs, ...columns] = this.columns();
      const numbers = [this.number, ...this.compared.map((trial) => trial.number)];
      const rows = epochs.map((epoch, index) => [String(epoch), ...columns.map((column) => (column[index] === null ? "–" : this.show(column[index])))]);
      return { heads: ["Epoch", ...numbers.map((number) => `Trial ${number ?? "–"}`)], rows: rows.filter((row) => row.slice(1).some((text) => text !== "–")) };
    }
  }

  // The leaders of a class: the best value so far after each trial, a line for each of them with the name at its end.
  class Leaders extends Chart {
    constructor(host, options = {}) {
      super(host, { large: true, ...options }, "The leaders' curves appear here after their first trials.");
      this.levels = levelsOf(host);
      /** @type {{ name: string, values: [number, number][] }[]} */
      this.lines = [];
      this.changed();
    }

    set(lines) {
      this.lines = lines;
      this.changed();
    }

    last() { return this.lines.length - 1; }
    key() { return `${this.size()}\n${this.lines.map((line) => line.name).join("\n")}`; }
    names() { return { across: "trials of each", up: `best validation ${this.options.metric ?? "score"} so far` }; }
    get unit() { return this.options.percent ? 100 : 1; }
    show(value, tick = false) { return this.options.percent ? shown(value, tick) : String(+value.toPrecision(4)); }

    /** @returns {Columns} */
    columns() {
      const last = Math.max(0, ...this.lines.flatMap((line) => line.values.map(([trial]) => trial)));
      const trials = Array.from({ length: last }, (_, index) => index + 1);
      return [trials, ...this.lines.map((line) => {
        const byTrial = new Map(line.values);
        return trials.map((trial) => { const value = byTrial.get(trial); return value === undefined ? null : value * this.unit; });
      })];
    }

    /** @returns {Partial<uPlot.Options> & Pick<uPlot.Options, "series">} */
    parts() {
      const [first, rest] = [colour("--eh-people-mark"), colour("--eh-people")];
      return {
        padding: [14, 7.5 * this.size(), 0, 0], // names stand at the ends of the lines
        scales: {
          x: { time: false, range: (plot, low, high) => [1, Math.max(2, high ?? 2)] },
          ...(this.levels.length ? { y: { range: (plot, low, high) => rangeOfShares(this.levels, this.unit, low, high) } } : {}),
        },
        series: [{}, ...this.lines.map((line, index) => ({
          stroke: index ? rest : first, width: index ? 2 : 4, spanGaps: true, paths: uPlot.paths.stepped?.({ align: 1 }), dash: index ? DASHES[(index - 1) % DASHES.length] : undefined,
          points: { show: line.values.length === 1, size: 10, fill: index ? rest : first },
        }))],
      };
    }

    back(plot) { paintLevels(plot, this.levels, this.unit, this.size() - 1); }

    paint(plot) {
      const { ctx } = plot;
      const pixels = devicePixelRatio || 1;
      const [size, height] = [this.size() * pixels, this.size() * 1.15 * pixels];
      ctx.save();
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      ctx.fillStyle = colour("--eh-text");
      const ends = this.lines.map(({ name, values }, index) => {
        const [trial, value] = values[values.length - 1];
        const text = name.length > 12 ? `${name.slice(0, 11)}…` : name;
        const x = plot.valToPos(trial, "x", true) + size / 2;
        return { text, index, x, y: plot.valToPos(near(value * this.unit), "y", true), width: 0 };
      }).sort((one, other) => one.y - other.y);
      const placed = [];
      ctx.lineJoin = "round";
      ctx.lineWidth = 4 * pixels;
      ctx.strokeStyle = colour("--eh-page"); // behind the letters, where a line crosses them
      for (const end of ends) {
        ctx.font = `${end.index ? 400 : 700} ${size}px ${SANS}`;
        end.width = ctx.measureText(end.text).width + size;
        const beside = placed.filter((other) => end.x < other.x + other.width && other.x < end.x + end.width);
        for (const other of beside) if (end.y < other.y + height) end.y = other.y + height;
        placed.push(end);
        ctx.strokeText(end.text, end.x, end.y);
        ctx.fillText(end.text, end.x, end.y);
      }
      ctx.restore();
    }

    words(plot, index) {
      const columns = this.columns();
      const texts = this.lines.map((line, at) => (columns[at + 1][index] == null ? "" : `${line.name}: ${this.show(columns[at + 1][index])}`)).filter(Boolean);
      return texts.length ? `trial ${plot.data[0][index]} · ${texts.join(" · ")}` : "";
    }

    cells() {
      const [trials, ...columns] = this.columns();
      const rows = trials.map((trial, index) => [String(trial), ...columns.map((column) => (column[index] === null ? "–" : this.show(column[index])))]);
      return { heads: ["Trial", ...this.lines.map((line) => line.name)], rows };
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.charts = {
    Chart,
    table: numbersTable,
    axesOf,
    leaders: (host, options) => new Leaders(host, options),
    loss: (host, options) => new Loss(host, options),
    validation: (host, options) => new Validation(host, options),
    levelsOf,
    withLevels,
    rangeOfShares,
    paintLevels,
    placeOfName,
  };
})();
