// A run's trials as columns of numbers, fetched in chunks that a browser keeps once all of their trials have ended. Fills
// window.Evenhand.columns.
//
//   const run = await Evenhand.columns(address, () => drawMore());   // address: of what is known of the run before its chunks
//   await run.load();                                                // the chunks, in order; each calls back
//   await run.renew();                 // what has changed since; false where the run has other hyperparameters by now
//
// What is sent: see evenhand/web/researcher/explore.py. A number that is none is NaN, also where a hyperparameter was inactive.
"use strict";
(() => {
  const AT_ONCE = 2; // chunks that are under way
  const KINDS = { f8: Float64Array, i4: Int32Array, u1: Uint8Array };
  const COLUMN = "column ";
  const OPEN = new Set(["training", "stopping", "waiting", "held"]);

  const checked = async (address, kind) => {
    const answer = await fetch(address, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.message ?? `the server answered ${answer.status}`);
    return kind === "json" ? answer.json() : answer.arrayBuffer();
  };

  /** @type {(bytes: ArrayBuffer) => { head: any, arrays: Map<string, Float64Array | Int32Array | Uint8Array> }} */
  const unpacked = (bytes) => {
    const length = new DataView(bytes).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    const arrays = new Map();
    let start = 4 + length;
    for (const [name, kind] of head.arrays) {
      const array = new KINDS[kind](bytes, start, head.trials);
      arrays.set(name, array);
      start += array.byteLength;
    }
    return { head, arrays };
  };

  // The lesser in each place decides; what is none is worse than any number.
  const isLess = (costs, others) => {
    for (const [index, cost] of costs.entries()) {
      const [one, other] = [cost ?? Infinity, others[index] ?? Infinity];
      if (one !== other) return one < other;
    }
    return false;
  };

  const totalOf = (head) => head.chunks.reduce((sum, chunk) => sum + chunk.trials, 0);

  class Run {
    constructor(address, head, onMore) {
      this.address = address;
      this.onMore = onMore;
      this.head = head;
      this.total = totalOf(head);
      this.count = 0; // trials that are there
      this.numbers = new Int32Array(this.total);
      this.values = new Float64Array(this.total);
      this.bests = new Float64Array(this.total);
      this.statuses = new Uint8Array(this.total);
      this.byPerson = new Uint8Array(this.total);
      /** @type {Map<string, Float64Array>} by a hyperparameter's name */
      this.columns = new Map(head.axes.map((axis) => [axis.name, new Float64Array(this.total)]));
      /** @type {Map<string, Map<number, string>>} by a hyperparameter's name, then by a trial's place */
      this.exact = new Map(head.axes.map((axis) => [axis.name, new Map()]));
      /** @type {[string, string][]} where trials stand: one word, and as people read it */
      this.statusWords = [];
      /** @type {boolean[]} of each of these whether a trial is open there */
      this.opens = [];
      /** @type {({ number: number, costs: (number | null)[] } | null)[]} of each chunk that is there */
      this.chunkBests = [];
    }

    get best() {
      return this.chunkBests.reduce((best, other) => (other && (!best || isLess(other.costs, best.costs)) ? other : best), null);
    }

    bring(chunk) { return checked(`${this.address}/${chunk.place}?stamp=${chunk.stamp}`, "bytes"); }

    // Room for more trials; those that are there stay.
    grow(total) {
      const grown = (array) => {
        const larger = new array.constructor(total);
        larger.set(array.subarray(0, Math.min(this.count, total)));
        return larger;
      };
      for (const name of /** @type {const} */ (["numbers", "values", "bests", "statuses", "byPerson"])) this[name] = grown(this[name]);
      for (const [name, column] of this.columns) this.columns.set(name, grown(column));
      this.total = total;
    }

    // The chunks in which something may be other than before are fetched, and then take their places all at once.
    async renew() {
      const head = await checked(this.address, "json");
      if (JSON.stringify(head.axes) !== JSON.stringify(this.head.axes)) return false;
      const known = this.head.chunks;
      const from = head.chunks.findIndex((chunk, at) => !chunk.has_ended || chunk.stamp !== known[at]?.stamp);
      const parts = from < 0 ? [] : await Promise.all(head.chunks.slice(from).map((chunk) => this.bring(chunk)));
      this.head = head;
      if (!parts.length) return true;
      this.count = head.chunks.slice(0, from).reduce((sum, chunk) => sum + chunk.trials, 0);
      this.chunkBests.length = from;
      this.grow(totalOf(head));
      for (const [at, bytes] of parts.entries()) this.add(unpacked(bytes), head.chunks[from + at].trials);
      return true;
    }

    async load() {
      const { chunks } = this.head;
      const coming = chunks.slice(0, AT_ONCE).map((chunk) => this.bring(chunk));
      for (const promise of coming) promise.catch(() => {}); // it is waited for below, where its error is said
      for (const index of chunks.keys()) {
        const bytes = await coming[index];
        if (index + AT_ONCE < chunks.length) {
          coming.push(this.bring(chunks[index + AT_ONCE]));
          coming[coming.length - 1].catch(() => {});
        }
        delete coming[index];
        this.add(unpacked(bytes), chunks[index].trials);
        this.onMore();
      }
    }

    // most: trials that it had when the head was made; what came since is left to the next look.
    add({ head, arrays }, most) {
      const start = this.count, trials = Math.min(head.trials, most);
      const part = (name) => /** @type {any} */ (arrays.get(name)).subarray(0, trials);
      this.numbers.set(part("numbers"), start);
      this.values.set(part("values"), start);
      this.byPerson.set(part("by_person"), start);
      const places = head.status_words.map(([status, words]) => {
        const known = this.statusWords.findIndex(([one, other]) => one === status && other === words);
        if (known < 0) this.opens.push(OPEN.has(status));
        return known < 0 ? this.statusWords.push([status, words]) - 1 : known;
      });
      const statuses = part("statuses");
      for (let index = 0; index < trials; index += 1) this.statuses[start + index] = places[statuses[index]];
      const bests = part("bests"), better = this.head.maximize ? Math.max : Math.min;
      const before = start ? this.bests[start - 1] : NaN;
      for (let index = 0; index < trials; index += 1) {
        const best = bests[index];
        this.bests[start + index] = Number.isNaN(before) ? best : Number.isNaN(best) ? before : better(before, best);
      }
      for (const { name, scale } of this.head.axes) {
        const column = /** @type {Float64Array} */ (this.columns.get(name));
        column.set(part(COLUMN + name), start);
        if (scale === "options") for (let index = start; index < start + trials; index += 1) if (column[index] < 0) column[index] = NaN;
        for (const [index, text] of Object.entries(head.exact[name] ?? {})) this.exact.get(name)?.set(start + Number(index), text);
      }
      this.chunkBests.push(head.best);
      this.count += trials;
    }

    /** @type {(index: number) => boolean} whether a trial still waits or trains, so that its value may yet be another */
    isOpen(index) { return this.opens[this.statuses[index]]; }

    /** @type {(index: number) => string} one word for where a trial stands */
    status(index) { return this.statusWords[this.statuses[index]][0]; }

    // The place of a trial by its number; -1 where it is not there.
    place(number) {
      const guess = number - 1;
      return guess < this.count && this.numbers[guess] === number ? guess : this.numbers.subarray(0, this.count).indexOf(number);
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.columns = async (address, onMore) => new Run(address, await checked(address, "json"), onMore);
})();
