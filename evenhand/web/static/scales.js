// Where numbers and options lie on an axis, its ticks, and what a value is called. Fills window.Evenhand.scaleOf.
//
//   const scale = Evenhand.scaleOf(axis, low, high);   // axis: as evenhand/analysis/run_columns.py has it
//   scale.at(value)        // from 0 to 1, NaN for none
//   scale.valueAt(share); scale.ticks(most); scale.words(value); scale.read("1e-3")
"use strict";
(() => {
  const LARGEST_DRAWN = 1e305; // beyond it numbers have no distance: they are drawn there, and their words say what they are
  const PIXELS = 300; // of an axis, about
  const FEW_DECADES = 1.5; // of a logarithmic axis, up to which its ticks lie between them, too
  const LONGEST_OPTION = 14; // letters of an option's tick

  const near = (value) => Math.max(-LARGEST_DRAWN, Math.min(LARGEST_DRAWN, value));
  // 0.001, 1e-5, 64: as they are typed.
  const plain = (value) => {
    const number = +value.toPrecision(12);
    const size = Math.abs(number);
    return (size >= 1e6 || (size && size < 1e-3) ? number.toExponential() : String(number)).replace("e+", "e");
  };
  const shortened = (text) => (text.length > LONGEST_OPTION ? `${text.slice(0, LONGEST_OPTION - 1)}…` : text);

  class Scale {
    constructor(axis, low, high) {
      this.axis = axis;
      this.factor = axis.percent ? 100 : 1;
      this.isLog = axis.scale === "log";
      this.hasOptions = axis.scale === "options";
      this.low = near(low);
      this.high = near(high);
      if (this.low === this.high) this.widen();
      this.from = this.isLog ? Math.log(this.low) : this.low; // on the scale itself
      this.to = this.isLog ? Math.log(this.high) : this.high;
    }

    // Room around a single value, which lies in the middle then.
    widen() {
      if (this.isLog) [this.low, this.high] = [this.low / 2, this.high * 2];
      else if (this.hasOptions || this.axis.whole) [this.low, this.high] = [this.low - 1, this.high + 1];
      else {
        const room = Math.abs(this.low) * 0.05 || 1;
        [this.low, this.high] = [this.low - room, this.high + room];
      }
    }

    at(value) {
      const place = this.isLog ? Math.log(value) : near(value);
      return (place / 2 - this.from / 2) / (this.to / 2 - this.from / 2); // halves, since the whole may be too large for a number
    }

    // The value at a place, to the digits that pixels tell apart.
    valueAt(share) {
      const place = this.from * (1 - share) + this.to * share;
      if (this.hasOptions || this.axis.whole) return Math.round(this.isLog ? Math.exp(place) : place);
      if (share <= 0 || share >= 1) return share <= 0 ? this.low : this.high;
      if (this.isLog) return +Math.exp(place).toPrecision(3);
      const unit = 10 ** Math.floor(Math.log10(this.high / PIXELS - this.low / PIXELS));
      return +(Math.round(place / unit) * unit).toPrecision(12);
    }

    // A value as people read it. exact: its digits, where a number cannot say them.
    words(value, exact = "") {
      if (Number.isNaN(value)) return "–";
      if (exact) return exact;
      if (this.hasOptions) return this.axis.options[value] ?? "–";
      if (this.axis.zero !== null && value === this.axis.zero) return "0";
      if (this.axis.base !== "0") return String(BigInt(this.axis.base) + BigInt(Math.round(value)));
      return this.axis.percent ? `${+(value * 100).toPrecision(4)}\u202f%` : plain(value);
    }

    // What somebody typed as a place on the axis; NaN where it is no number.
    read(text) {
      const typed = text.trim().replace(",", ".");
      if (!typed) return NaN;
      if (this.axis.base !== "0") return /^[-+]?\d+$/.test(typed) ? Number(BigInt(typed) - BigInt(this.axis.base)) : NaN;
      const number = Number(typed.replace(/\s*%$/, "")) / this.factor;
      return number === 0 && this.axis.zero !== null ? this.axis.zero : number;
    }

    // As it is typed into a field: without a unit.
    typed(value) {
      if (this.axis.base !== "0" || value === this.axis.zero) return this.words(value);
      return plain(+(value * this.factor).toPrecision(6));
    }

    /** @type {(most: number) => { share: number, text: string }[]} */
    ticks(most) {
      if (this.hasOptions) {
        const every = Math.ceil(this.axis.options.length / most);
        return this.axis.options.map((text, place) => ({ share: this.at(place), text: shortened(text) })).filter((tick, place) => place % every === 0);
      }
      const values = this.isLog ? this.logTicks(most) : this.linearTicks(most);
      return values.map((value) => ({ share: this.at(value), text: this.words(value) })).filter((tick) => tick.share >= -1e-9 && tick.share <= 1 + 1e-9);
    }

    linearTicks(most) {
      const [low, high] = [this.low * this.factor, this.high * this.factor];
      const rough = high / most - low / most;
      const size = 10 ** Math.floor(Math.log10(rough));
      const step = Math.max([1, 2, 5, 10].map((times) => times * size).find((one) => one >= rough * 0.999) ?? size, this.axis.whole ? 1 : 0);
      const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => ((first + index) * step) / this.factor);
    }

    logTicks(most) {
      const zero = this.axis.zero !== null && this.low <= this.axis.zero ? [this.axis.zero] : [];
      const [least, largest] = [zero.length ? this.axis.zero * 10 : this.low, this.high];
      const decades = Math.log10(largest / least);
      const within = (digits) => {
        const first = Math.floor(Math.log10(least));
        const powers = Array.from({ length: Math.ceil(decades) + 2 }, (_, index) => first + index);
        return powers.flatMap((power) => digits.map((digit) => +(digit * 10 ** power).toPrecision(3))).filter((tick) => tick >= least * 0.999 && tick <= largest * 1.001);
      };
      // Of an axis of few decades: every number that stands there is whole, as 20 and not the 2 of it.
      if (decades <= FEW_DECADES) {
        const usual = within([1, 2, 5]);
        return [...zero, ...(usual.length > 1 ? usual : within([1, 2, 3, 4, 5, 6, 7, 8, 9]))];
      }
      const tens = within([1]);
      const every = Math.ceil(tens.length / most);
      return [...zero, ...tens.filter((_, index) => index % every === 0)];
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.scaleOf = (axis, low, high) => new Scale(axis, low, high);
})();
