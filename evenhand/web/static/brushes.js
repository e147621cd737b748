// What is brushed on the axes of a run, which trials are within all of it, and how a page's address says so. Fills
// window.Evenhand.brushes.
//
// An axis: { name, label, scale, values, missing, hasMissing }; the one of the value has the empty name. A brush holds numbers from
// `low` to `high`, or the places of options, and with `missing` the trials that have none there.
//
//   in.learning_rate=0.0001..0.01   in.optimizer=adam&in.optimizer=sgd   none.momentum=1   axis=learning_rate&axis=   (the order)
"use strict";
(() => {
  const BETWEEN = "..";

  class Brushes {
    constructor(run, axes) {
      this.run = run;
      this.axes = axes;
      /** @type {any[]} those that are shown, in their order */
      this.shown = [...axes];
      /** @type {Map<any, { low: number, high: number, places: Set<number> | null, missing: boolean }>} */
      this.byAxis = new Map();
      this.selected = new Uint8Array(run.total);
      this.count = 0;
    }

    get isEmpty() { return !this.byAxis.size; }

    clear(axis) {
      if (axis) this.byAxis.delete(axis);
      else this.byAxis.clear();
    }

    // Of options: those whose places lie between the two numbers.
    range(axis, low, high, missing = false) {
      if (!axis.scale.hasOptions) {
        this.byAxis.set(axis, { low: Math.min(low, high), high: Math.max(low, high), places: null, missing });
        return;
      }
      const places = axis.scale.axis.options.map((_, place) => place).filter((place) => place >= Math.min(low, high) && place <= Math.max(low, high));
      this.options(axis, places, missing);
    }

    options(axis, places, missing = false) {
      if (!places.length && !missing) this.clear(axis);
      else this.byAxis.set(axis, { low: Math.min(...places), high: Math.max(...places), places: new Set(places), missing });
    }

    missing(axis, wanted) {
      const brush = this.byAxis.get(axis) ?? { low: NaN, high: NaN, places: axis.scale.hasOptions ? new Set() : null, missing: false };
      brush.missing = wanted;
      if (!wanted && Number.isNaN(brush.low) && !brush.places?.size) this.clear(axis);
      else this.byAxis.set(axis, brush);
    }

    // Which trials are within all brushes.
    select() {
      const { run: { count, total } } = this;
      if (this.selected.length < total) this.selected = new Uint8Array(total);
      const { selected } = this;
      selected.fill(1, 0, count);
      for (const [{ values }, { low, high, places, missing }] of this.byAxis) {
        for (let index = 0; index < count; index += 1) {
          const value = values[index];
          const isWithin = value !== value ? missing : places ? places.has(value) : value >= low && value <= high;
          if (!isWithin) selected[index] = 0;
        }
      }
      let sum = 0;
      for (let index = 0; index < count; index += 1) sum += selected[index];
      this.count = sum;
    }

    // What a brush holds, in words.
    words(axis) {
      const brush = this.byAxis.get(axis);
      if (!brush) return "";
      const parts = [];
      if (brush.places) parts.push(...[...brush.places].sort((one, other) => one - other).map((place) => axis.scale.words(place)));
      else if (!Number.isNaN(brush.low)) parts.push(`${axis.scale.words(brush.low)} to ${axis.scale.words(brush.high)}`);
      if (brush.missing) parts.push(axis.missing);
      return parts.join(", ");
    }

    move(axis, steps) {
      const at = this.shown.indexOf(axis), to = Math.max(0, Math.min(this.shown.length - 1, at + steps));
      if (at < 0 || at === to) return;
      this.shown.splice(at, 1);
      this.shown.splice(to, 0, axis);
    }

    show(axis, wanted) {
      if (wanted && !this.shown.includes(axis)) this.shown.push(axis);
      else if (!wanted) this.shown = this.shown.filter((other) => other !== axis);
      if (!wanted) this.clear(axis);
    }

    // The query of an address that shows the same.
    query() {
      const query = new URLSearchParams();
      for (const [axis, brush] of this.byAxis) {
        if (brush.places) for (const place of brush.places) query.append(`in.${axis.name}`, axis.scale.axis.options[place]);
        else if (!Number.isNaN(brush.low)) query.append(`in.${axis.name}`, axis.scale.typed(brush.low) + BETWEEN + axis.scale.typed(brush.high));
        if (brush.missing) query.append(`none.${axis.name}`, "1");
      }
      const isStandard = this.shown.length === this.axes.length && this.shown.every((axis, at) => axis === this.axes[at]);
      if (!isStandard) for (const axis of this.shown) query.append("axis", axis.name);
      return query.toString();
    }

    // What an address says; what it names that there is not is left out, since links outlive what they name.
    read(query) {
      const order = query.getAll("axis").map((name) => this.axes.find((axis) => axis.name === name)).filter(Boolean);
      if (order.length) this.shown = [...new Set(order)];
      for (const axis of this.shown) {
        const texts = query.getAll(`in.${axis.name}`), missing = query.get(`none.${axis.name}`) === "1" && axis.hasMissing;
        if (axis.scale.hasOptions) this.options(axis, texts.map((text) => axis.scale.axis.options.indexOf(text)).filter((place) => place >= 0), missing);
        else {
          const [low, high] = (texts[0] ?? "").split(BETWEEN).map((text) => axis.scale.read(text));
          if (low <= high) this.range(axis, low, high, missing);
          else if (missing) this.missing(axis, true);
        }
      }
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.brushes = (run, axes) => new Brushes(run, axes);
})();
