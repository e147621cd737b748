// How a method searches: its trials on the map of a known surface, played step by step, beside another method where that is wanted.
//
// The server lets the method search and sends all trials with the times at which each begins and ends; this only draws the state at one
// of these times. A step is a time at which some trial of any of the methods begins or ends.
"use strict";
(() => {
  const LEFT = 46, BOTTOM = 40, TOP = 8, RIGHT = 10; // px beside the map
  const CURVE = 74, GAP = 34; // px: the best so far below the map
  const STEP_MS = 450; // between two steps while it plays
  const RADIUS = 5; // px of a trial
  const HATCH = 6; // px between two lines
  const demo = /** @type {Part | null} */ (document.getElementById("demo"));
  if (!demo) return;
  const part = (id) => /** @type {Part} */ (document.getElementById(id));
  const form = /** @type {HTMLFormElement} */ (document.getElementById("demo-form"));
  const [run, back, next, time, clock, problem] = ["demo-run", "demo-back", "demo-next", "demo-time", "demo-clock", "demo-problem"].map(part);
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let maps = [], times = [0], at = 0, timer = 0, asked = 0;

  const percent = (value) => (value === null ? "no score" : `${(100 * value).toFixed(1)} %`);
  const cell = (row, name, text) => { const made = document.createElement(name); made.textContent = text; row.append(made); };

  /** What of a method's trials is known at a time: those that have begun, and the best of those that have ended. */
  const known = (shown, now) => {
    const begun = shown.trials.filter((trial) => trial.begins <= now);
    const ended = begun.filter((trial) => trial.ends <= now);
    const valued = ended.filter((trial) => trial.value !== null);
    const best = valued.reduce((one, other) => (one && one.value >= other.value ? one : other), null);
    return { begun, ended, best };
  };

  class Map2D {
    constructor(shown) {
      this.shown = shown;
      this.side = 0;
      this.figure = document.createElement("figure");
      this.figure.className = "demo-map";
      const caption = document.createElement("figcaption");
      const name = document.createElement("b");
      name.textContent = shown.method;
      this.reached = document.createElement("span");
      this.reached.className = "quiet";
      caption.append(name, this.reached);
      this.canvas = document.createElement("canvas");
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", `${shown.method}: trials on the map; they are in the table below`);
      this.said = document.createElement("p");
      this.said.className = "demo-said";
      this.figure.append(caption, this.canvas, this.said);
      part("demo-maps").append(this.figure);
      new ResizeObserver(() => this.draw(times[at])).observe(this.figure);
      this.canvas.addEventListener("click", (event) => this.point(event));
    }

    place(trial) {
      return [LEFT + trial.across * this.side, TOP + (1 - trial.up) * this.side];
    }

    point(event) {
      const box = this.canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const far = (trial) => { const [left, top] = this.place(trial); return Math.hypot(left - x, top - y); };
      const { begun } = known(this.shown, times[at]);
      const near = begun.toSorted((one, other) => far(one) - far(other))[0];
      if (near && far(near) < 24) this.say(near);
    }

    say(trial) {
      const epochs = trial.epochs === null ? "" : `, ${trial.epochs} epochs`;
      const state = trial.ends > times[at] ? "still training" : trial.value === null ? "diverged" : percent(trial.value);
      this.said.textContent = `Trial ${trial.number}: learning rate ${trial.rate}, dropout ${trial.dropout}${epochs}: ${state}. ${trial.explanation}`;
    }

    draw(now) {
      const width = this.figure.clientWidth, scale = devicePixelRatio;
      if (!width) return;
      this.side = Math.max(60, Math.min(width - LEFT - RIGHT, 380));
      const height = TOP + this.side + BOTTOM + GAP + CURVE;
      Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
      this.canvas.style.height = `${height}px`;
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
      context.scale(scale, scale);
      context.font = "12px system-ui, sans-serif";
      const state = known(this.shown, now);
      this.surface(context);
      this.trials(context, state, now);
      this.curve(context, state, now, TOP + this.side + BOTTOM + GAP, width);
      const newest = state.begun.at(-1);
      if (newest) this.say(newest);
      else this.said.textContent = "";
      this.reached.textContent = `${state.ended.length} of ${this.shown.trials.length} ended, best ${state.best ? percent(state.best.value) : "none yet"}`;
    }

    surface(context) {
      const { map, axes } = this.shown, cells = map.length;
      const edge = (start, count) => Math.round(start + (count / cells) * this.side);
      const square = (across, up) => {
        const left = edge(LEFT, across), top = edge(TOP, cells - 1 - up);
        return /** @type {const} */ ([left, top, edge(LEFT, across + 1) - left, edge(TOP, cells - up) - top]);
      };
      const shade = Evenhand.colour("--eh-methods-mark"), lines = Evenhand.colour("--eh-line");
      const most = Math.max(...map.flat().filter((score) => score !== null));
      map.forEach((row, up) => row.forEach((score, across) => {
        if (score === null) return;
        context.globalAlpha = 0.75 * Math.max(0, score / most) ** 1.6;
        context.fillStyle = shade;
        context.fillRect(...square(across, up));
      }));
      context.globalAlpha = 1;
      context.strokeStyle = lines;
      context.strokeRect(LEFT, TOP, this.side, this.side);
      context.save();
      context.beginPath();
      map.forEach((row, up) => row.forEach((score, across) => {
        if (score === null) context.rect(...square(across, up));
      }));
      context.clip();
      context.strokeStyle = Evenhand.colour("--eh-bad");
      context.globalAlpha = 0.35;
      for (let place = -this.side; place < this.side; place += HATCH) {
        context.beginPath();
        context.moveTo(LEFT + place, TOP + this.side);
        context.lineTo(LEFT + place + this.side, TOP);
        context.stroke();
      }
      context.restore();
      context.fillStyle = Evenhand.colour("--eh-quiet");
      context.textBaseline = "top";
      axes.across.ticks.forEach((tick, place) => {
        context.textAlign = /** @type {CanvasTextAlign} */ (["left", "center", "right"][place]);
        context.fillText(tick, LEFT + (place / 2) * this.side, TOP + this.side + 4);
      });
      context.textAlign = "center";
      context.fillText(axes.across.label, LEFT + this.side / 2, TOP + this.side + 20);
      context.textAlign = "right";
      context.textBaseline = "middle";
      axes.up.ticks.forEach((tick, place) => context.fillText(tick, LEFT - 4, TOP + (1 - place / 2) * this.side + [-6, 0, 6][place]));
      context.save();
      context.translate(9, TOP + this.side / 2);
      context.rotate(-Math.PI / 2);
      context.textAlign = "center";
      context.fillText(axes.up.label, 0, 0);
      context.restore();
    }

    trials(context, { begun, best }, now) {
      const newest = begun.at(-1), text = Evenhand.colour("--eh-text"), page = Evenhand.colour("--eh-surface");
      const resumed = new Set(begun.map((trial) => trial.resumes));
      for (const trial of begun) {
        const [x, y] = this.place(trial), isOpen = trial.ends > now;
        const radius = trial.epochs === null ? RADIUS : 2.5 + Math.sqrt(trial.epochs) * 1.4;
        if (resumed.has(trial.number) && !isOpen && trial !== best) context.globalAlpha = 0.35;
        context.lineWidth = trial === newest ? 3 : 1.5;
        context.strokeStyle = trial.value === null && !isOpen ? Evenhand.colour("--eh-bad") : text;
        context.beginPath();
        if (trial.value === null && !isOpen) {
          context.moveTo(x - radius, y - radius);
          context.lineTo(x + radius, y + radius);
          context.moveTo(x + radius, y - radius);
          context.lineTo(x - radius, y + radius);
          context.stroke();
        } else {
          context.arc(x, y, radius, 0, 7);
          context.fillStyle = isOpen ? page : text;
          if (!isOpen) context.fill();
          context.strokeStyle = isOpen ? text : page;
          context.stroke();
        }
        context.globalAlpha = 1;
      }
      if (best) {
        const [x, y] = this.place(best);
        context.lineWidth = 2.5;
        context.strokeStyle = Evenhand.colour("--eh-people-mark");
        context.beginPath();
        context.arc(x, y, RADIUS + 5, 0, 7);
        context.stroke();
      }
      context.lineWidth = 1;
    }

    curve(context, { ended }, now, top, width) {
      const right = width - RIGHT, end = times.at(-1) || 1;
      const x = (moment) => LEFT + (moment / end) * (right - LEFT), y = (value) => top + (1 - value / this.shown.best_possible) * CURVE;
      context.strokeStyle = Evenhand.colour("--eh-line");
      context.beginPath();
      for (const place of [0, 1]) { context.moveTo(LEFT, top + place * CURVE); context.lineTo(right, top + place * CURVE); }
      context.stroke();
      context.fillStyle = Evenhand.colour("--eh-quiet");
      context.textAlign = "left";
      context.textBaseline = "bottom";
      const most = percent(this.shown.best_possible);
      const long = `best so far; the upper line is the best there is, ${most}`;
      context.fillText(context.measureText(long).width > right - LEFT ? `best so far; upper line: ${most}` : long, LEFT, top - 5);
      context.strokeStyle = Evenhand.colour("--eh-people-mark");
      context.lineWidth = 2;
      context.beginPath();
      let before = null;
      for (const trial of ended.toSorted((one, other) => one.ends - other.ends || one.number - other.number)) {
        if (trial.best === null) continue;
        if (before === null) context.moveTo(x(trial.ends), y(trial.best));
        else { context.lineTo(x(trial.ends), y(before)); context.lineTo(x(trial.ends), y(trial.best)); }
        before = trial.best;
      }
      if (before !== null) context.lineTo(x(now), y(before));
      context.stroke();
      context.lineWidth = 1;
    }
  }

  const show = (step) => {
    at = Math.max(0, Math.min(times.length - 1, step));
    time.value = String(at);
    const begun = maps.map((map) => known(map.shown, times[at]).begun.length);
    clock.textContent = `step ${at} of ${times.length - 1}, ${begun.join(" and ")} begun`;
    time.setAttribute("aria-valuetext", clock.textContent);
    back.disabled = at === 0;
    next.disabled = at === times.length - 1;
    for (const map of maps) map.draw(times[at]);
  };
  const pause = () => { clearInterval(timer); timer = 0; run.textContent = "Play"; };
  const play = () => {
    if (at === times.length - 1) show(0);
    run.textContent = "Pause";
    timer = setInterval(() => { if (at === times.length - 1) pause(); else show(at + 1); }, STEP_MS);
  };

  const fill = () => {
    const table = document.createElement("table");
    table.className = "table table-sm";
    const head = document.createElement("tr");
    for (const name of ["method", "trial", "learning rate", "dropout", "epochs", "score", "best so far", "why"]) cell(head, "th", name);
    table.createTHead().append(head);
    const body = table.createTBody();
    for (const { shown } of maps) for (const trial of shown.trials) {
      const row = body.insertRow();
      const score = trial.value === null ? "diverged" : percent(trial.value);
      const best = trial.best === null ? "–" : percent(trial.best);
      for (const text of [shown.method, trial.number, trial.rate, trial.dropout, trial.epochs ?? "–", score, best, trial.explanation]) cell(row, "td", String(text));
    }
    part("demo-table").replaceChildren(table);
  };

  const load = async () => {
    pause();
    const chosen = new FormData(form), mine = (asked += 1);
    const surface = /** @type {HTMLSelectElement} */ (form.elements.namedItem("surface"));
    part("demo-words").textContent = surface.selectedOptions[0].dataset.words ?? "";
    clock.textContent = "searching …";
    const names = [demo.dataset.method, chosen.get("beside")].filter(Boolean);
    const query = new URLSearchParams();
    for (const name of ["surface", "parallel", "seed", "belief"]) if (chosen.has(name)) query.set(name, String(chosen.get(name)));
    const answers = await Promise.all(names.map(async (name) => {
      const answer = await fetch(`${demo.dataset.demo}${encodeURIComponent(String(name))}/demonstration?${query}`, { headers: { accept: "application/json" } });
      return { isOk: answer.ok, body: await answer.json() };
    }));
    if (mine !== asked) return; // something else was chosen since
    const failed = answers.find((answer) => !answer.isOk);
    problem.hidden = !failed;
    if (failed) { problem.textContent = failed.body.detail ?? failed.body.error ?? "It cannot be shown."; clock.textContent = ""; return; }
    part("demo-maps").replaceChildren();
    maps = answers.map(({ body }) => new Map2D(body));
    times = [...new Set([0, ...maps.flatMap(({ shown }) => shown.trials.flatMap((trial) => [trial.begins, trial.ends]))])].toSorted((one, other) => one - other);
    time.setAttribute("max", String(times.length - 1));
    fill();
    show(isStill ? times.length - 1 : Math.min(times.length - 1, 12));
  };

  run.addEventListener("click", () => (timer ? pause() : play()));
  back.addEventListener("click", () => { pause(); show(at - 1); });
  next.addEventListener("click", () => { pause(); show(at + 1); });
  time.addEventListener("input", () => { pause(); show(Number(time.value)); });
  form.addEventListener("change", load);
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
  new MutationObserver(() => show(at)).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  load();
})();
