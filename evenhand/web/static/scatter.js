// Scatter charts of a run: each trial's value against one thing, on a canvas of its own. Fills window.Evenhand.scatter.
//
//   const chart = Evenhand.scatter(host, run, { label, up, x, xs, y, levels, mark, line, pointed });
//   chart.draw(selected);   // of each trial 1 where it is selected; the others are grey
//
// x, y: scales. xs: where each trial lies on x, NaN for none. levels: what values are read against. mark: a place on x with a line,
// a default. line: the best so far, as a step line. Circles have completed, open ones still train, triangles were stopped, crosses
// diverged, were invalid or have no value; those without stand at the worse edge. Of thousands there is one dot each, and with isSpread
// they stand beside each other where x is the same.
"use strict";
(() => {
  const HEIGHT = 240, LARGE_HEIGHT = 300; // px
  const LEFT = 58, RIGHT = 14, TOP = 10, BOTTOM = 42; // px beside the plot
  const FEW = 1500; // points, up to which each has its shape
  const RADIUS = 3.6, DOT = 3, NEAR = 12; // px
  const SPREAD = 0.6, GOLDEN = 0.618034; // how far apart thousands of points of one option are drawn, of the distance of two
  const ROOM = 0.06; // of the plot, above and below the values
  const SANS = "system-ui, sans-serif";
  const GREY = "--grey-line";
  const SHADES = { person: "--eh-people-mark", method: "--eh-methods-mark", valueless: "--eh-bad" };

  class Scatter {
    constructor(host, run, options) {
      this.host = host;
      this.run = run;
      this.options = options;
      this.isInSight = this.isStale = false;
      this.frame = this.width = this.drawnWidth = 0;
      this.canvas = document.createElement("canvas");
      this.canvas.setAttribute("aria-hidden", "true");
      this.tip = Object.assign(document.createElement("div"), { className: "chart-tip", hidden: true });
      host.append(this.canvas, this.tip);
      host.setAttribute("role", "img");
      host.setAttribute("aria-label", `Chart: ${options.up} against ${options.label}. The numbers are in the table of trials above.`);
      host.dataset.axes = `${options.label} | ${options.up}`;
      this.selected = null;
      host.addEventListener("pointermove", (event) => this.hover(event));
      host.addEventListener("pointerleave", () => { this.tip.hidden = true; });
      host.addEventListener("click", (event) => options.pointed(this.nearest(event), true));
      new ResizeObserver(() => this.soon()).observe(host);
      new IntersectionObserver(([entry]) => { this.isInSight = entry.isIntersecting; this.soon(); }, { rootMargin: "200px" }).observe(host);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(this.selected));
      new MutationObserver(() => this.draw(this.selected)).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    }

    draw(selected) {
      this.selected = selected;
      this.isStale = true;
      this.soon();
    }

    soon() {
      const isOther = this.host.clientWidth !== this.drawnWidth;
      const isWanted = this.isInSight || this.run.count <= FEW; // thousands are drawn when they are scrolled to
      if (isWanted && (this.isStale || isOther) && !this.frame) this.frame = requestAnimationFrame(() => this.paint());
    }

    x(index) {
      const { x, xs, isSpread } = this.options;
      const aside = isSpread && this.run.count > FEW ? (((this.run.numbers[index] * GOLDEN) % 1) - 0.5) * SPREAD : 0;
      return LEFT + x.at(xs[index] + aside) * (this.width - LEFT - RIGHT);
    }

    height() { return this.options.line ? LARGE_HEIGHT : HEIGHT; }
    yOf(share) { return TOP + (1 - ROOM - share * (1 - 2 * ROOM)) * (this.height() - TOP - BOTTOM); }
    y(index) {
      const value = this.run.values[index];
      if (Number.isNaN(value)) return this.run.head.maximize ? this.height() - BOTTOM - 5 : TOP + 5;
      return this.yOf(this.options.y.at(value));
    }

    paint() {
      this.frame = 0;
      this.width = this.drawnWidth = this.host.clientWidth;
      if (!this.width) return;
      this.isStale = false;
      const pixels = devicePixelRatio || 1, height = this.height();
      Object.assign(this.canvas, { width: this.width * pixels, height: height * pixels });
      Object.assign(this.canvas.style, { width: `${this.width}px`, height: `${height}px` });
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
      context.setTransform(pixels, 0, 0, pixels, 0, 0);
      this.drawAxes(context);
      this.drawLevels(context);
      if (this.run.count > FEW) this.dots(context);
      else this.shapes(context);
      if (this.options.line) this.drawBests(context);
      this.host.dataset.drawn = String(this.run.count);
    }

    drawAxes(context) {
      const [quiet, grid] = ["--eh-quiet", "--eh-line"].map(Evenhand.colour);
      const { width } = this, height = this.height(), { x, y, label, up, mark } = this.options;
      Object.assign(context, { font: `11px ${SANS}`, fillStyle: quiet, strokeStyle: grid, lineWidth: 1, textBaseline: "middle", textAlign: "right" });
      for (const { share, text } of y.ticks(5)) {
        const at = Math.round(this.yOf(share)) + 0.5;
        context.beginPath();
        context.moveTo(LEFT, at);
        context.lineTo(width - RIGHT, at);
        context.stroke();
        context.fillText(text, LEFT - 6, at);
      }
      context.textAlign = "center";
      const ticks = x.ticks(Math.max(2, Math.floor((width - LEFT) / 60)));
      this.host.dataset.ticks = ticks.map((tick) => tick.text).join(" ");
      for (const { share, text } of ticks) {
        const at = LEFT + share * (width - LEFT - RIGHT);
        context.fillText(text, Math.min(at, width - context.measureText(text).width / 2), height - BOTTOM + 11);
      }
      context.fillText(label, LEFT + (width - LEFT - RIGHT) / 2, height - 10, width - LEFT - RIGHT);
      context.save();
      context.translate(10, TOP + (height - TOP - BOTTOM) / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(up, 0, 0, height - TOP - BOTTOM);
      context.restore();
      if (mark === null || mark === undefined) return;
      const at = LEFT + x.at(mark) * (width - LEFT - RIGHT);
      context.setLineDash([1, 4]);
      context.strokeStyle = quiet;
      context.beginPath();
      context.moveTo(at, TOP);
      context.lineTo(at, height - BOTTOM);
      context.stroke();
      context.setLineDash([]);
    }

    // Chance and a simple baseline: a fine line each, with its name at the right.
    drawLevels(context) {
      const quiet = Evenhand.colour("--eh-quiet");
      Object.assign(context, { strokeStyle: quiet, fillStyle: quiet, textAlign: "right", textBaseline: "alphabetic", lineWidth: 1 });
      for (const [name, value] of this.options.levels) {
        const y = this.yOf(this.options.y.at(value));
        context.setLineDash([6, 2, 1, 2]);
        context.beginPath();
        context.moveTo(LEFT, y);
        context.lineTo(this.width - RIGHT, y);
        context.stroke();
        context.setLineDash([]);
        context.fillText(name, this.width - RIGHT - 4, y - 4);
      }
      this.host.dataset.levels = JSON.stringify(this.options.levels);
    }

    drawBests(context) {
      const { run: { count, bests, byPerson }, options: { y } } = this;
      context.strokeStyle = Evenhand.colour(byPerson[0] ? SHADES.person : SHADES.method);
      context.lineWidth = 2;
      context.beginPath();
      let before = NaN;
      for (let index = 0; index < count; index += 1) {
        const best = bests[index];
        if (best === before || Number.isNaN(best)) continue;
        if (Number.isNaN(before)) context.moveTo(this.x(index), this.yOf(y.at(best)));
        else {
          context.lineTo(this.x(index), this.yOf(y.at(before)));
          context.lineTo(this.x(index), this.yOf(y.at(best)));
        }
        before = best;
      }
      if (count && !Number.isNaN(before)) context.lineTo(this.x(count - 1), this.yOf(y.at(before)));
      context.stroke();
    }

    kind(index) { return Number.isNaN(this.run.values[index]) ? "valueless" : this.run.byPerson[index] ? "person" : "method"; }
    isDrawn(index) { return !Number.isNaN(this.options.xs[index]); }

    dots(context) {
      const { run: { count }, selected } = this;
      const sets = [["grey", GREY], ...Object.entries(SHADES)].map(([name, shade]) => ({ name, shade, ink: Evenhand.ink(this.width, this.height()), dots: 0 }));
      const byName = new Map(sets.map((set) => [set.name, set]));
      for (let index = 0; index < count; index += 1) {
        if (!this.isDrawn(index)) continue;
        const set = /** @type {any} */ (byName.get(!selected || selected[index] ? this.kind(index) : "grey"));
        set.ink.dot(this.x(index), this.y(index), DOT);
        set.dots += 1;
      }
      for (const { ink, shade, dots } of sets) ink.paint(context, Evenhand.colour(shade), dots / 8);
    }

    shapes(context) {
      const { run: { count, numbers }, selected } = this;
      const shades = new Map(Object.entries(SHADES).map(([kind, shade]) => [kind, Evenhand.colour(shade)])), grey = Evenhand.colour(GREY);
      context.lineWidth = 1.5;
      for (const wanted of [false, true]) {
        for (let index = 0; index < count; index += 1) {
          if (!this.isDrawn(index) || Boolean(!selected || selected[index]) !== wanted) continue;
          context.fillStyle = context.strokeStyle = wanted ? shades.get(this.kind(index)) : grey;
          context.globalAlpha = 0.35 + (0.65 * numbers[index]) / numbers[count - 1]; // lighter points are earlier trials
          this.shape(context, index, this.x(index), this.y(index));
        }
      }
      context.globalAlpha = 1;
    }

    shape(context, index, x, y) {
      const status = this.run.status(index);
      const hasValue = !Number.isNaN(this.run.values[index]);
      context.beginPath();
      if (hasValue && status === "completed") {
        context.arc(x, y, RADIUS, 0, 2 * Math.PI);
        context.fill();
      } else if (hasValue && this.run.isOpen(index)) {
        context.arc(x, y, RADIUS, 0, 2 * Math.PI);
        context.stroke();
      } else if (hasValue && status === "stopped") {
        context.moveTo(x, y - RADIUS - 1);
        context.lineTo(x + RADIUS + 0.5, y + RADIUS);
        context.lineTo(x - RADIUS - 0.5, y + RADIUS);
        context.fill();
      } else {
        context.moveTo(x - RADIUS, y - RADIUS);
        context.lineTo(x + RADIUS, y + RADIUS);
        context.moveTo(x + RADIUS, y - RADIUS);
        context.lineTo(x - RADIUS, y + RADIUS);
        context.stroke();
      }
    }

    nearest(event) {
      const box = this.host.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      let nearest = NEAR ** 2, trial = -1;
      for (let index = 0; index < this.run.count; index += 1) {
        const distance = (this.x(index) - x) ** 2 + (this.y(index) - y) ** 2;
        if (distance < nearest) [nearest, trial] = [distance, index];
      }
      return trial;
    }

    hover(event) {
      const index = this.nearest(event);
      this.tip.hidden = index < 0;
      this.options.pointed(index, false);
      if (index < 0) return;
      const { run, options: { x, xs, y, label } } = this;
      const value = Number.isNaN(run.values[index]) ? run.statusWords[run.statuses[index]][1] : y.words(run.values[index]);
      const beside = this.options.line ? "" : ` · ${label} ${x.words(xs[index], this.options.exact?.get(index))}`;
      this.tip.textContent = `trial ${run.numbers[index]}: ${value}${beside}`;
      const at = this.x(index);
      const left = at + 14 + this.tip.offsetWidth > this.width ? at - this.tip.offsetWidth - 14 : at + 14;
      this.tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, this.y(index) - 30)}px)`;
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.scatter = (host, run, options) => new Scatter(host, run, options);
})();
