// The curves of a comparison: a line for each run or trial, against what the reader picks (trials, epochs, time).
"use strict";
(() => {
  const chartHost = document.getElementById("compare-chart");
  if (!chartHost) return; // nothing has a value yet
  const host = /** @type {Part} */ (chartHost);
  const DASHES = [undefined, [6, 4], [2, 3], [10, 3, 2, 3], [14, 5]]; // beside the letters, so that lines are told apart
  const END_ROOM = 26; // px beside the plot, for the letters at the lines' ends
  const main = /** @type {Part} */ (host.closest("main"));
  const unit = main.dataset.percent ? 100 : 1;
  const { levelsOf, paintLevels, rangeOfShares } = Evenhand.charts;
  /** @type {number[][][]} a line's points: where it is on each axis, then its value */
  const lines = JSON.parse(host.dataset.lines);
  /** @type {string[]} */
  const names = JSON.parse(host.dataset.names);
  /** @type {string[]} */
  const kinds = JSON.parse(host.dataset.kinds);
  /** @type {string[]} */
  const axes = JSON.parse(host.dataset.axes);
  const isStepped = Boolean(host.dataset.steps);
  const tone = (kind) => Evenhand.colour(kind === "method" ? "--eh-methods-mark" : "--eh-people-mark");

  class Compared extends Evenhand.charts.Chart {
    constructor() {
      super(host, { metric: main.dataset.metric }, "Curves appear here after the first values.");
      this.levels = levelsOf(host);
      this.axis = 0;
      /** @type {number | null} the line that is pointed at */
      this.over = null;
      this.changed();
    }

    against(axis) {
      this.axis = axis;
      this.changed(true);
    }

    point(line) {
      if (this.over === line) return;
      this.over = line;
      this.changed(true);
    }

    get isTime() { return axes[this.axis].startsWith("time"); }
    last() { return lines.length - 1; }
    key() { return `${this.axis} ${this.over}`; }
    names() { return { across: axes[this.axis], up: isStepped ? `best validation ${this.options.metric} so far` : `validation ${this.options.metric}` }; }
    show(value, tick = false) { return unit === 100 ? `${tick ? +value.toFixed(2) : value.toFixed(1)}\u202f%` : String(+value.toPrecision(4)); }
    get isCounted() { return ["trials", "epochs"].includes(axes[this.axis]); }
    at(value) { return this.isTime ? Evenhand.clock(value) : this.isCounted ? String(value) : String(+value.toPrecision(3)); }

    /** @returns {Columns} */
    columns() {
      const places = [...new Set(lines.flatMap((line) => line.map((point) => point[this.axis])))].sort((one, other) => one - other);
      const rows = new Map(places.map((place, row) => [place, row]));
      return [places, ...lines.map((line) => {
        /** @type {(number | null)[]} */
        const column = Array(places.length).fill(null);
        for (const point of line) column[rows.get(point[this.axis]) ?? 0] = point[point.length - 1] * unit;
        return column;
      })];
    }

    /** @returns {Partial<uPlot.Options> & Pick<uPlot.Options, "series">} */
    parts() {
      return {
        padding: [14, END_ROOM, 0, 0],
        scales: {
          x: { time: false, range: (plot, low, high) => [isStepped && this.isCounted ? Math.min(1, low ?? 1) : 0, Math.max(high ?? 1, this.isCounted ? 2 : 1e-9)] },
          ...(this.levels.length ? { y: { range: (plot, low, high) => rangeOfShares(this.levels, unit, low, high) } } : {}),
        },
        series: [{}, ...lines.map((line, index) => ({
          stroke: tone(kinds[index]), width: this.over === index ? 4 : 2, alpha: this.over === null || this.over === index ? 1 : 0.35,
          spanGaps: true, paths: isStepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined, dash: DASHES[index % DASHES.length],
          points: { show: line.length === 1, size: 8, fill: tone(kinds[index]) },
        }))],
      };
    }

    settings() {
      const settings = super.settings();
      if (!this.isCounted && settings.axes) settings.axes[0] = { ...settings.axes[0], incrs: undefined, ...(this.isTime ? { values: (plot, ticks) => ticks.map((tick) => Evenhand.clock(tick)) } : {}) };
      return settings;
    }

    back(plot) { paintLevels(plot, this.levels, unit); }

    // The letters at the ends of the lines, moved apart where they would lie on each other.
    paint(plot) {
      const { ctx } = plot;
      const pixels = devicePixelRatio || 1;
      const height = 13 * pixels;
      ctx.save();
      ctx.font = `700 ${12 * pixels}px system-ui, sans-serif`;
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      ctx.lineJoin = "round";
      ctx.lineWidth = 3 * pixels;
      ctx.strokeStyle = Evenhand.colour("--eh-surface");
      const ends = lines.flatMap((line, index) => {
        if (!line.length) return [];
        const point = line[line.length - 1];
        return [{ index, x: plot.valToPos(point[this.axis], "x", true) + 6 * pixels, y: plot.valToPos(point[point.length - 1] * unit, "y", true) }];
      }).sort((one, other) => one.y - other.y);
      const placed = [];
      for (const end of ends) {
        for (const other of placed) if (Math.abs(other.x - end.x) < 14 * pixels && end.y < other.y + height) end.y = other.y + height;
        placed.push(end);
        ctx.fillStyle = tone(kinds[end.index]);
        ctx.strokeText(names[end.index], end.x, end.y);
        ctx.fillText(names[end.index], end.x, end.y);
      }
      ctx.restore();
    }

    // What each line's value is at a place: a best so far holds until the next one.
    valuesAt(place) {
      return lines.map((line) => {
        const before = line.filter((point) => (isStepped ? point[this.axis] <= place : point[this.axis] === place));
        const isOver = isStepped && line.length > 0 && place > line[line.length - 1][this.axis];
        return before.length && !isOver ? before[before.length - 1][before[0].length - 1] * unit : null;
      });
    }

    words(plot, index) {
      const place = plot.data[0][index];
      const texts = this.valuesAt(place).flatMap((value, line) => (value === null ? [] : [`${names[line]}: ${this.show(value)}`]));
      return texts.length ? `${this.isTime ? "" : `${axes[this.axis]} `}${this.at(place)} · ${texts.join(" · ")}` : "";
    }

    cells() {
      const [places] = this.columns();
      const rows = places.map((place) => [this.at(place), ...this.valuesAt(place).map((value) => (value === null ? "–" : this.show(value)))]);
      const across = this.names().across;
      return { heads: [across[0].toUpperCase() + across.slice(1), ...names], rows };
    }
  }

  const chart = new Compared();
  for (const radio of document.querySelectorAll("input[name=axis]")) {
    radio.addEventListener("change", () => chart.against(Number(/** @type {HTMLInputElement} */ (radio).value)));
    if (/** @type {HTMLInputElement} */ (radio).checked) chart.against(Number(/** @type {HTMLInputElement} */ (radio).value)); // kept by the browser over a reload
  }
  for (const head of /** @type {NodeListOf<Part>} */ (document.querySelectorAll("[data-column]"))) {
    const line = Number(head.dataset.column);
    for (const event of ["pointerenter", "focusin"]) head.addEventListener(event, () => chart.point(line));
    for (const event of ["pointerleave", "focusout"]) head.addEventListener(event, () => chart.point(null));
  }
})();
