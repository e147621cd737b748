// Parallel coordinates: an axis for each hyperparameter and one for the value, a line for each trial. Fills window.Evenhand.parallel.
//
//   const plot = Evenhand.parallel(host, run, brushes, { changed, pointed });
//   plot.refresh();          // trials came, or other axes are shown
//   plot.brushed();          // other trials are selected
//   plot.grown();            // trials came or ended, while axes stay as they are: what is drawn stays, and the others are added
//   plot.point(index, pin);  // name this trial; -1: none
//
// All lines of trials that have ended are counted into ink once, those that are selected again at each change, a little at a time, in
// an order in which what is drawn first stands for all; the few that are open are drawn upon it. So a frame never waits for the lines. The last frames' milliseconds are in host.dataset.frames.
"use strict";
(() => {
  const TOP = 14, PLOT_HEIGHT = 330, RAIL_GAP = 34, BOTTOM = 16; // px
  const SIDE = 62, NARROWEST = 84; // px beside the outer axes, and between two
  const STRIP = 40; // px across an axis that take a brush
  const EDGE = 7; // px at a brush's end by which it is pulled
  const CLICK = 4; // px that a finger may move in a click
  const NEAR = 9; // px from a line that names it
  const WORK_MS = 10; // of a frame, for lines, while nothing is brushed
  const FRAME_MS = 12, LEAST_WORK_MS = 2; // of a frame in which something is brushed: for all, and for lines at the least
  const PAINT_MS = 120; // between two pictures of ink that grows by itself
  const AT_A_TIME = 64; // lines between two looks at the clock
  const FEW = 400; // lines, up to which they are drawn smoothly
  const STEP = 0.02; // of an axis, by a key
  const KEPT_FRAMES = 60;
  const BEYOND = 5; // px past an axis's end at which what lies beyond it is drawn
  const SANS = "system-ui, sans-serif";
  const KINDS = ["person", "method", "valueless"];
  const SHADES = { person: "--eh-people-mark", method: "--eh-methods-mark", valueless: "--eh-bad" };

  const GREY = "--grey-line";

  const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
  const coprime = (count) => {
    const share = (one, other) => (other ? share(other, one % other) : one);
    let stride = Math.max(1, Math.floor(count * 0.618));
    while (share(stride, count) > 1) stride += 1;
    return stride;
  };

  class Parallel {
    constructor(host, run, brushes, { changed, pointed }) {
      this.host = host;
      this.run = run;
      this.brushes = brushes;
      this.changed = changed;
      this.pointed = pointed;
      this.frame = this.width = this.height = this.drawnWidth = 0;
      this.pixels = this.stride = 1;
      this.begun = 0; // trials that there were when the ink was begun
      this.isBrushing = false;
      this.painting = 0; // ms that the last picture took beside its lines
      this.paintedAt = 0;
      /** @type {Map<string, string>} colours by name, as the page has them now */
      this.shades = new Map();
      this.hasRail = false;
      this.backKey = "";
      this.back = new OffscreenCanvas(1, 1);
      /** @type {Float32Array[]} where each trial crosses each axis that is shown */
      this.crossings = [];
      this.heads = make("div", "parallel-heads");
      this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", "parallel-lines"));
      this.canvas.setAttribute("aria-hidden", "true");
      this.over = /** @type {HTMLCanvasElement} */ (make("canvas", "parallel-over"));
      this.over.setAttribute("aria-hidden", "true");
      this.strips = make("div", "parallel-strips");
      this.tip = make("div", "chart-tip");
      this.tip.hidden = true;
      this.inner = make("div", "parallel-inner");
      this.inner.append(this.heads, this.canvas, this.over, this.strips, this.tip);
      host.append(this.inner);
      this.pointedAt = -1;
      this.pinned = -1;
      this.hovered = -1;
      /** @type {number[]} */
      this.frames = [];
      this.all = this.layer();
      this.some = this.layer();
      this.inner.addEventListener("pointermove", (event) => this.hover(event));
      this.inner.addEventListener("pointerleave", () => this.leave());
      this.inner.addEventListener("click", (event) => {
        if (event.target !== this.strips) return;
        this.pinned = this.hovered;
        this.point(this.hovered, true);
      });
      new ResizeObserver(() => { if (this.host.clientWidth !== this.drawnWidth) this.refresh(); }).observe(host);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
      new MutationObserver(() => this.repaint()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    }

    // Ink by who proposed a trial, or that it has no value; how far its lines are drawn. passed: trials that were open then.
    layer() { return { inks: /** @type {Map<string, any>} */ (new Map()), at: 0, drawn: 0, passed: /** @type {number[]} */ ([]) }; }

    get axes() { return this.brushes.shown; }
    x(at) { return Math.round(this.axes.length > 1 ? SIDE + (at * (this.width - 2 * SIDE)) / (this.axes.length - 1) : this.width / 2); }
    get rail() { return TOP + PLOT_HEIGHT + RAIL_GAP; }
    y(axis, value) { return Number.isNaN(value) ? this.rail : TOP + (1 - axis.scale.at(value)) * PLOT_HEIGHT; }
    kind(index) { return Number.isNaN(this.run.values[index]) ? "valueless" : this.run.byPerson[index] ? "person" : "method"; }

    // Other axes, other trials or another size: everything anew.
    refresh() {
      this.drawnWidth = this.host.clientWidth;
      if (!this.drawnWidth) return;
      const { axes, run: { count } } = this;
      this.width = Math.max(this.drawnWidth, 2 * SIDE + (axes.length - 1) * NARROWEST);
      this.hasRail = axes.some((axis) => axis.hasMissing);
      this.height = TOP + PLOT_HEIGHT + (this.hasRail ? RAIL_GAP : 0) + BOTTOM;
      this.pixels = devicePixelRatio || 1;
      for (const canvas of [this.canvas, this.over]) {
        Object.assign(canvas, { width: this.width * this.pixels, height: this.height * this.pixels });
        Object.assign(canvas.style, { width: `${this.width}px`, height: `${this.height}px` });
      }
      Object.assign(this.strips.style, { width: `${this.width}px`, height: `${this.height}px` });
      this.inner.style.width = `${this.width}px`;
      this.cross();
      this.begun = count;
      this.stride = coprime(count || 1);
      for (const layer of [this.all, this.some]) layer.inks = new Map(KINDS.map((kind) => [kind, Evenhand.ink(this.width, this.height)]));
      this.restart(this.all);
      this.furnish();
      this.brushed();
    }

    // Where each trial crosses each axis; beyond its end what came since the axis was made.
    cross() {
      const { axes, run: { count } } = this;
      this.crossings = axes.map((axis) => {
        const ys = new Float32Array(count);
        for (let index = 0; index < count; index += 1) {
          const value = axis.values[index];
          const y = this.y(axis, value);
          ys[index] = Number.isNaN(value) ? y : Math.max(TOP - BEYOND, Math.min(TOP + PLOT_HEIGHT + BEYOND, y));
        }
        return ys;
      });
    }

    grown() {
      if (!this.crossings.length || this.hasRail !== this.axes.some((axis) => axis.hasMissing)) return this.refresh();
      this.cross();
      for (const layer of [this.all, this.some]) this.add(layer, layer.passed.splice(0), layer === this.some);
      this.soon();
    }

    // Lines of trials that were passed over: of those that have ended since, and are selected where that is asked.
    add(layer, indices, isOfSelected) {
      for (const index of indices) {
        if (this.run.isOpen(index)) layer.passed.push(index);
        else if (!isOfSelected || this.brushes.selected[index]) this.inkIn(layer, index);
      }
    }

    inkIn(layer, index) {
      const { crossings } = this;
      layer.drawn += 1;
      const ink = layer.inks.get(this.kind(index));
      for (let gap = 0; gap + 1 < crossings.length; gap += 1) ink.line(this.x(gap), crossings[gap][index], this.x(gap + 1), crossings[gap + 1][index]);
    }

    restart(layer) {
      layer.at = 0;
      layer.drawn = 0;
      layer.passed.length = 0;
      for (const ink of layer.inks.values()) ink.clear();
    }

    // Other trials are selected.
    brushed() {
      if (!this.crossings.length) return;
      this.restart(this.some);
      this.label();
      this.soon();
    }

    repaint() {
      this.shades.clear();
      this.soon();
    }

    shade(name) {
      if (!this.shades.has(name)) this.shades.set(name, Evenhand.colour(name));
      return /** @type {string} */ (this.shades.get(name));
    }

    soon() {
      this.paintedAt = 0;
      this.again();
    }

    again() {
      if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
    }

    // Draw lines into ink for a while; whether all are.
    work(layer, isWanted, until) {
      const { run, stride, begun, crossings, axes } = this;
      const { count } = run;
      const xs = axes.map((_, at) => this.x(at));
      while (layer.at < count) {
        for (let most = AT_A_TIME; most && layer.at < count; layer.at += 1) {
          const index = layer.at < begun ? (layer.at * stride) % begun : layer.at; // those that came since come last
          if (run.isOpen(index)) layer.passed.push(index);
          if ((isWanted && !isWanted[index]) || run.isOpen(index)) continue;
          most -= 1;
          layer.drawn += 1;
          const ink = layer.inks.get(this.kind(index));
          for (let gap = 0; gap + 1 < xs.length; gap += 1) ink.line(xs[gap], crossings[gap][index], xs[gap + 1], crossings[gap + 1][index]);
        }
        if (performance.now() > until) break;
      }
      return layer.at >= count;
    }

    draw() {
      this.frame = 0;
      const begun = performance.now();
      const { brushes, run: { count } } = this;
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
      const smooth = count <= FEW;
      let isDone = true;
      if (!smooth) {
        const spare = brushes.isEmpty ? WORK_MS : Math.max(LEAST_WORK_MS, FRAME_MS - this.painting);
        isDone = brushes.isEmpty || this.work(this.some, brushes.selected, begun + spare);
        if (isDone && !this.isBrushing) isDone = this.work(this.all, null, begun + spare);
        if (!isDone && brushes.isEmpty && begun - this.paintedAt < PAINT_MS) return this.again();
      }
      const worked = performance.now();
      this.paintedAt = begun;
      context.setTransform(this.pixels, 0, 0, this.pixels, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      if (smooth) this.strokes(context);
      else {
        this.paintBack(brushes.isEmpty);
        context.drawImage(this.back, 0, 0);
        if (!brushes.isEmpty) for (const kind of KINDS) this.some.inks.get(kind).paint(context, this.shade(SHADES[kind]), this.some.drawn);
        this.strokeOpen(context);
      }
      this.drawAxes(context);
      this.drawOver();
      this.painting = performance.now() - worked;
      this.frames.push(performance.now() - begun);
      if (this.frames.length > KEPT_FRAMES) this.frames.shift();
      this.host.dataset.frames = this.frames.map((milliseconds) => milliseconds.toFixed(1)).join(" ");
      this.host.dataset.drawn = String(smooth ? count : this.all.drawn + this.all.passed.length);
      if (!isDone) this.again();
    }

    // All lines, coloured, or grey behind those that are selected: painted again only where that has changed.
    paintBack(isColoured) {
      const shades = KINDS.map((kind) => this.shade(isColoured ? SHADES[kind] : GREY));
      const key = `${this.all.drawn} ${this.width} ${this.height} ${shades}`;
      if (key === this.backKey) return;
      this.backKey = key;
      this.back = new OffscreenCanvas(this.width, this.height);
      const context = /** @type {OffscreenCanvasRenderingContext2D} */ (this.back.getContext("2d"));
      for (const [at, kind] of KINDS.entries()) this.all.inks.get(kind).paint(context, shades[at], this.all.drawn);
    }

    // Few lines, each with round edges; those that are not selected first.
    strokes(context) {
      const { run: { count }, brushes } = this;
      const shades = new Map(KINDS.map((kind) => [kind, this.shade(SHADES[kind])])), grey = this.shade(GREY);
      context.lineJoin = "round";
      for (const wanted of [0, 1]) {
        for (let index = 0; index < count; index += 1) {
          if (brushes.selected[index] !== wanted) continue;
          context.strokeStyle = wanted ? shades.get(this.kind(index)) : grey;
          context.globalAlpha = wanted ? Math.max(0.35, 1 - count / 200) : 0.8;
          context.lineWidth = wanted ? 1.4 : 1;
          context.setLineDash(this.kind(index) === "valueless" ? [5, 3] : []);
          this.trace(context, index);
        }
      }
      context.globalAlpha = 1;
      context.setLineDash([]);
    }

    strokeOpen(context) {
      context.lineWidth = 1.4;
      for (const index of this.all.passed) {
        if (!this.brushes.selected[index]) continue;
        context.strokeStyle = this.shade(SHADES[this.kind(index)]);
        this.trace(context, index);
      }
    }

    trace(context, index) {
      context.beginPath();
      for (const [at, ys] of this.crossings.entries()) context.lineTo(this.x(at), ys[index]);
      context.stroke();
    }

    drawAxes(context) {
      const [quiet, text, surface] = ["--eh-quiet", "--eh-text", "--eh-surface"].map((name) => this.shade(name));
      context.font = `11px ${SANS}`;
      context.textBaseline = "middle";
      context.lineJoin = "round";
      const write = (words, x, y, shade) => {
        Object.assign(context, { lineWidth: 4, strokeStyle: surface, fillStyle: shade });
        context.strokeText(words, x, y);
        context.fillText(words, x, y);
      };
      for (const [at, axis] of this.axes.entries()) {
        const x = this.x(at);
        const isLast = at === this.axes.length - 1;
        context.textAlign = isLast ? "left" : "right";
        const beside = isLast ? x + 6 : x - 6;
        context.lineWidth = 1.5;
        context.strokeStyle = quiet;
        context.beginPath();
        context.moveTo(x, TOP);
        context.lineTo(x, TOP + PLOT_HEIGHT);
        context.stroke();
        for (const { share, text: words } of axis.scale.ticks(6)) write(words, beside, TOP + (1 - share) * PLOT_HEIGHT, text);
        if (!axis.hasMissing) continue;
        context.lineWidth = 1.5;
        context.strokeStyle = quiet;
        context.setLineDash([2, 3]);
        context.beginPath();
        context.moveTo(x - 16, this.rail);
        context.lineTo(x + 16, this.rail);
        context.stroke();
        context.setLineDash([]);
        context.textAlign = "center";
        write(axis.missing, x, this.rail + 9, quiet);
      }
    }

    // What lies on the lines: brushes, the best and the chosen trial, the one that is named.
    drawOver() {
      const context = /** @type {CanvasRenderingContext2D} */ (this.over.getContext("2d"));
      const [text, surface, good] = ["--eh-text", "--eh-surface", "--eh-good"].map((name) => this.shade(name));
      context.setTransform(this.pixels, 0, 0, this.pixels, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      for (const [axis, brush] of this.brushes.byAxis) {
        const at = this.axes.indexOf(axis);
        if (at < 0) continue;
        context.fillStyle = context.strokeStyle = text;
        for (const [from, to] of this.spans(axis, brush)) {
          context.globalAlpha = 0.18;
          context.fillRect(this.x(at) - 8, from, 16, to - from);
          context.globalAlpha = 1;
          context.lineWidth = 1.5;
          context.strokeRect(this.x(at) - 8, from, 16, to - from);
        }
      }
      const marked = [[this.run.best?.number, "best", good, []], [this.run.head.chosen, "chosen", text, [7, 3]]];
      context.font = `600 11px ${SANS}`;
      context.textBaseline = "middle";
      let lastY = -100;
      for (const [number, name, shade, dash] of marked) {
        const index = number ? this.run.place(number) : -1;
        if (index < 0) continue;
        this.bold(context, index, surface, shade, dash);
        const at = this.axes.findIndex((axis) => !axis.name);
        if (at < 0) continue;
        const isSame = name === "chosen" && this.run.best?.number === number;
        if (isSame) continue;
        const words = this.run.head.chosen === this.run.best?.number && name === "best" ? `best and chosen ${number}` : `${name} ${number}`;
        let y = Math.max(TOP + 8, this.crossings[at][index] - 11);
        if (Math.abs(y - lastY) < 13) y = lastY + 15;
        lastY = y;
        context.textAlign = at ? "right" : "left";
        Object.assign(context, { lineWidth: 4, strokeStyle: surface, fillStyle: shade });
        context.strokeText(words, this.x(at) + (at ? -8 : 8), y);
        context.fillText(words, this.x(at) + (at ? -8 : 8), y);
      }
      if (this.pointedAt >= 0) this.bold(context, this.pointedAt, surface, text, []);
    }

    bold(context, index, surface, shade, dash) {
      context.lineJoin = "round";
      context.setLineDash([]);
      Object.assign(context, { lineWidth: 4.5, strokeStyle: surface });
      this.trace(context, index);
      context.setLineDash(dash);
      Object.assign(context, { lineWidth: 2.2, strokeStyle: shade });
      this.trace(context, index);
      context.setLineDash([]);
    }

    /** @type {(axis: any, brush: any) => [number, number][]} from where to where a brush reaches on its axis, in px */
    spans(axis, brush) {
      /** @type {[number, number][]} */
      const spans = [];
      if (brush.places) {
        const half = Math.min(14, (PLOT_HEIGHT / axis.scale.axis.options.length) * 0.4);
        for (const place of brush.places) spans.push([this.y(axis, place) - half, this.y(axis, place) + half]);
      } else if (!Number.isNaN(brush.low)) {
        const within = (y) => Math.max(TOP, Math.min(TOP + PLOT_HEIGHT, y));
        spans.push([within(this.y(axis, brush.high)) - 1, within(this.y(axis, brush.low)) + 1]);
      }
      if (brush.missing) spans.push([this.rail - 7, this.rail + 7]);
      return spans;
    }

    // A button above each axis, which keys brush and move, and a strip on it, which a finger brushes.
    furnish() {
      const focused = this.axes.find((axis) => document.activeElement === axis.button);
      for (const [at, axis] of this.axes.entries()) {
        if (!axis.button) this.equip(axis);
        axis.button.style.left = axis.strip.style.left = `${this.x(at)}px`;
        axis.button.style.maxWidth = `${Math.max(60, this.x(1) - this.x(0) - 6) || 200}px`;
      }
      this.heads.replaceChildren(...this.axes.map((axis) => axis.button));
      this.strips.replaceChildren(...this.axes.map((axis) => axis.strip));
      focused?.button.focus({ preventScroll: true });
    }

    equip(axis) {
      axis.button = make("button", "parallel-head", axis.label);
      axis.button.type = "button";
      axis.button.title = axis.label;
      axis.button.setAttribute("aria-describedby", "axis-keys");
      axis.button.addEventListener("keydown", (event) => this.key(event, axis));
      axis.button.addEventListener("pointerdown", (event) => this.drag(event, axis));
      axis.strip = make("div", "parallel-strip");
      axis.strip.style.width = `${STRIP}px`;
      axis.strip.addEventListener("pointerdown", (event) => this.brush(event, axis));
    }

    // What a button says, of its brush too.
    label() {
      for (const axis of this.axes) {
        const words = this.brushes.words(axis);
        axis.button?.setAttribute("aria-label", `${axis.label}: ${words || "all"}`);
        axis.button?.classList.toggle("brushed", Boolean(words));
      }
    }

    // Brushing with mouse, pen or finger: a new brush, one that is pulled at an end, or one that is moved; a click takes it away.
    brush(event, axis) {
      if (event.button) return;
      const { strips, brushes } = this;
      const top = strips.getBoundingClientRect().top;
      const place = (pointer) => pointer.clientY - top;
      const start = place(event);
      const held = brushes.byAxis.get(axis);
      if (axis.hasMissing && start > TOP + PLOT_HEIGHT + RAIL_GAP / 2) {
        brushes.missing(axis, !held?.missing);
        this.changed(axis, true);
        return;
      }
      const share = (y) => Math.max(0, Math.min(1, 1 - (y - TOP) / PLOT_HEIGHT));
      const valueAt = (y) => (axis.scale.hasOptions ? axis.scale.low + share(y) * (axis.scale.high - axis.scale.low) : axis.scale.valueAt(share(y)));
      const ends = held && !Number.isNaN(held.low) && !held.places ? [this.y(axis, held.low), this.y(axis, held.high)] : [NaN, NaN];
      const pulled = ends.findIndex((end) => Math.abs(end - start) <= EDGE);
      const isMoved = pulled < 0 && start < ends[0] && start > ends[1];
      const fixed = pulled < 0 ? start : ends[1 - pulled];
      let isDragged = false;
      const move = (pointer) => {
        const now = place(pointer);
        if (!isDragged && Math.abs(now - start) < CLICK) return;
        isDragged = true;
        if (isMoved) {
          const by = Math.max(TOP - ends[1], Math.min(TOP + PLOT_HEIGHT - ends[0], now - start));
          brushes.range(axis, valueAt(ends[0] + by), valueAt(ends[1] + by), held?.missing);
        } else if (axis.scale.hasOptions) {
          const half = 0.45; // so that a brush that crosses an option's words takes it
          const [low, high] = [valueAt(Math.max(fixed, now)), valueAt(Math.min(fixed, now))];
          brushes.range(axis, low - half, high + half, held?.missing);
        } else brushes.range(axis, valueAt(fixed), valueAt(now), held?.missing);
        this.changed(axis, false);
      };
      this.isBrushing = true;
      const end = () => {
        this.isBrushing = false;
        axis.strip.removeEventListener("pointermove", move);
        if (!isDragged) {
          const option = axis.scale.hasOptions ? Math.round(valueAt(start)) : -1;
          if (axis.scale.hasOptions && !held?.places?.has(option)) brushes.options(axis, [...(held?.places ?? []), option], held?.missing);
          else if (axis.scale.hasOptions && held) brushes.options(axis, [...(held.places ?? [])].filter((other) => other !== option), held.missing);
          else brushes.clear(axis);
        }
        this.changed(axis, true);
      };
      axis.strip.setPointerCapture(event.pointerId);
      axis.strip.addEventListener("pointermove", move);
      axis.strip.addEventListener("lostpointercapture", end, { once: true });
      event.preventDefault();
      axis.button.focus({ preventScroll: true });
    }

    // An axis is dragged aside by its name.
    drag(event, axis) {
      if (event.button || event.pointerType === "touch") return;
      const left = this.inner.getBoundingClientRect().left;
      const move = (pointer) => {
        const to = Math.round(((pointer.clientX - left - SIDE) / (this.width - 2 * SIDE)) * (this.axes.length - 1));
        const steps = Math.max(0, Math.min(this.axes.length - 1, to)) - this.axes.indexOf(axis);
        if (!steps) return;
        this.brushes.move(axis, steps);
        this.refresh();
        this.changed(axis, false);
      };
      axis.button.addEventListener("pointermove", move);
      axis.button.setPointerCapture(event.pointerId);
      axis.button.addEventListener("lostpointercapture", () => {
        axis.button.removeEventListener("pointermove", move);
        this.changed(axis, true);
      }, { once: true });
    }

    // Up and down move a brush's lower end, with Shift its upper one; left and right with Alt move the axis; Escape clears.
    key(event, axis) {
      const { brushes } = this;
      const direction = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
      const aside = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") brushes.clear(axis);
      else if (direction) this.pull(axis, direction, event.shiftKey);
      else if (aside && event.altKey) {
        brushes.move(axis, aside);
        this.refresh();
        axis.button.focus();
      } else if (event.key === "Delete" && axis.hasMissing) brushes.missing(axis, !brushes.byAxis.get(axis)?.missing);
      else return;
      event.preventDefault();
      this.changed(axis, true);
    }

    pull(axis, steps, isUpper) {
      const { scale } = axis;
      const held = this.brushes.byAxis.get(axis);
      const isSet = held && Number.isFinite(held.low) && Number.isFinite(held.high);
      let [low, high] = isSet ? [held.low, held.high] : [scale.low, scale.high];
      const moved = (value) => {
        if (scale.hasOptions) return Math.max(0, Math.min(scale.axis.options.length - 1, value + Math.sign(steps)));
        const share = Math.max(0, Math.min(1, scale.at(value) + steps * STEP));
        const next = scale.valueAt(share);
        return next === value && share > 0 && share < 1 ? value + Math.sign(steps) : next; // whole numbers move by one at least
      };
      if (isUpper) high = Math.max(low, moved(high));
      else low = Math.min(high, moved(low));
      this.brushes.range(axis, low, high, held?.missing);
    }

    // The line nearest to the pointer, of those that are selected.
    hover(event) {
      if (event.buttons || !this.crossings.length || event.target !== this.strips) return;
      const box = this.strips.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const { run: { count }, brushes: { selected }, crossings } = this;
      let gap = 0;
      while (gap + 2 < crossings.length && this.x(gap + 1) < x) gap += 1;
      this.hovered = -1;
      if (crossings.length > 1) {
        const share = (x - this.x(gap)) / (this.x(gap + 1) - this.x(gap));
        const [from, to] = [crossings[gap], crossings[gap + 1]];
        let nearest = NEAR;
        for (let index = 0; index < count; index += 1) {
          if (!selected[index]) continue;
          const distance = Math.abs(from[index] + (to[index] - from[index]) * share - y);
          if (distance < nearest) [nearest, this.hovered] = [distance, index];
        }
      }
      this.point(this.hovered < 0 ? this.pinned : this.hovered);
      this.tip.hidden = this.hovered < 0;
      if (this.hovered < 0) return;
      this.tip.textContent = this.tipWords(this.hovered);
      const left = x + 14 + this.tip.offsetWidth > this.host.scrollLeft + this.host.clientWidth ? x - this.tip.offsetWidth - 14 : x + 14;
      this.tip.style.transform = `translate(${Math.max(this.host.scrollLeft, left)}px, ${this.heads.offsetHeight + y + 10}px)`;
    }

    tipWords(index) {
      const value = this.brushes.axes.find((axis) => !axis.name);
      const words = Number.isNaN(this.run.values[index]) ? this.run.statusWords[this.run.statuses[index]][1] : value.scale.words(this.run.values[index]);
      return `trial ${this.run.numbers[index]}: ${words}`;
    }

    leave() {
      this.tip.hidden = true;
      this.hovered = -1;
      this.point(this.pinned);
    }

    point(index, pin = false) {
      if (pin) this.pinned = index;
      if (index === this.pointedAt && !pin) return;
      this.pointedAt = index;
      if (this.crossings.length) this.drawOver();
      this.pointed(index);
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.parallel = (host, run, brushes, handlers) => new Parallel(host, run, brushes, handlers);
})();
