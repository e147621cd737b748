// The explore page: one session's trials, drawn by Plotly as SVG from the numbers that the server computed.
"use strict";
(async () => {
  const main = /** @type {Part} */ (document.querySelector("main[data-explore]"));
  const numbers = await (await fetch(main.dataset.explore, { headers: { accept: "application/json" } })).json();
  const order = /** @type {HTMLElement} */ (document.getElementById("explore-order"));
  const panels = /** @type {HTMLElement} */ (document.getElementById("explore-panels"));
  const metric = `validation ${main.dataset.metric}`;
  const factor = numbers.percent ? 100 : 1;
  const LARGEST_DRAWN = 1e305; // beyond it numbers have no distance: they are drawn there, and their words say what they are
  const near = (value) => Math.max(-LARGEST_DRAWN, Math.min(LARGEST_DRAWN, value * factor));
  const suffix = numbers.percent ? " %" : "";
  const colour = Evenhand.colour;
  // By a trial's status; the others' values cannot be relied upon.
  const SYMBOLS = { completed: "circle", stopped: "triangle-up", training: "circle-open", stopping: "circle-open" };
  const symbol = (point) => (point.value === null ? "x-thin-open" : SYMBOLS[point.status] ?? "x-thin-open");
  const valued = numbers.order.map((trial) => trial.value).filter((value) => value !== null);
  // Trials without a score are drawn at the worse edge, so that they are seen and not mistaken for scores.
  const [low, high] = [near(Math.min(...valued)), near(Math.max(...valued))];
  const room = Math.max((high - low) * 0.08, 1e-9);
  const edge = numbers.maximize ? low - room : high + room;
  const y = (point) => (point.value === null ? edge : near(point.value));
  const text = (point, name) => `trial ${point.number}: ${point.value === null ? point.words : (point.value * factor).toPrecision(4) + suffix}${name ? `<br>${name} ${point.label}` : ""}`;

  // Chance and a simple baseline: a fine line each, and its name where there is room for it.
  /** @type {Level[]} */
  const levels = JSON.parse(main.dataset.levels || "[]");
  const levelLines = () => levels.map(([, value]) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: near(value), y1: near(value), layer: "below", line: { color: colour("--quiet"), width: 1, dash: "dashdot" },
  }));
  const levelNames = () => levels.map(([name, value]) => ({
    xref: "paper", x: 1, xanchor: "right", y: near(value), yanchor: "bottom", text: name, showarrow: false, font: { size: 11, color: colour("--quiet") },
  }));

  // Of an axis of few decades: every number that stands there is whole, as 20 and not the 2 of it.
  const logTicks = (least, most) => {
    const within = (digits) => {
      const decades = Array.from({ length: Math.ceil(Math.log10(most / least)) + 2 }, (_, index) => Math.floor(Math.log10(least)) + index);
      return decades.flatMap((decade) => digits.map((digit) => +(digit * 10 ** decade).toPrecision(3))).filter((tick) => tick >= least && tick <= most);
    };
    const usual = within([1, 2, 5]);
    const tickvals = usual.length > 1 ? usual : within([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    return { tickmode: "array", tickvals, ticktext: tickvals.map(String) };
  };

  const layout = () => {
    const grid = { gridcolor: colour("--line"), zeroline: false, linecolor: colour("--line"), fixedrange: false };
    return {
      grid, base: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
        font: { family: "system-ui, sans-serif", size: 12, color: colour("--quiet") },
        hoverlabel: { bgcolor: colour("--surface"), font: { color: colour("--text") } }, margin: { l: 52, r: 12, t: 8, b: 44 },
      },
    };
  };
  const options = { displayModeBar: false, responsive: true };

  const draw = () => {
    const tone = colour(numbers.kind === "method" ? "--machine" : "--person");
    const { grid, base } = layout();
    const points = (list, xs, name) => ({
      type: "scatter", mode: "markers", x: xs, y: list.map(y), text: list.map((point) => text(point, name)), hoverinfo: "text",
      marker: {
        symbol: list.map(symbol), size: 9, color: tone, line: { width: 1.5, color: tone },
        opacity: list.map((point) => 0.35 + 0.65 * (point.number / numbers.order.length)),
      },
    });
    if (numbers.order.length) {
      const soFar = numbers.order.map((trial) => (trial.best === null ? null : near(trial.best)));
      const xs = numbers.order.map((trial) => trial.number);
      const line = { type: "scatter", mode: "lines", x: xs, y: soFar, line: { shape: "hv", width: 2, color: tone }, hoverinfo: "skip" };
      Plotly.react(order, [line, points(numbers.order, xs)], {
        ...base, shapes: levelLines(), annotations: levelNames(), xaxis: { ...grid, title: { text: "trial" }, rangemode: "tozero", tickformat: "d", ...(xs.length <= 10 ? { dtick: 1 } : {}) }, yaxis: { ...grid, title: { text: metric }, ticksuffix: suffix, automargin: true },
      }, options);
    }
    for (const [index, panel] of numbers.panels.entries()) {
      const host = panels.children[index] ?? panels.appendChild(document.createElement("div"));
      host.className = "explore-panel";
      host.setAttribute("role", "img");
      host.setAttribute("aria-label", `Validation against ${panel.label}`);
      const xaxis = { ...grid, title: { text: panel.label, standoff: 6 }, type: panel.scale, automargin: true };
      if (panel.scale === "category") Object.assign(xaxis, { categoryorder: "array", categoryarray: panel.ticks, range: [-0.5, panel.ticks.length - 0.5] });
      if (panel.scale === "log") {
        const xs = panel.points.map((point) => point.x);
        const few = Math.max(...xs) / Math.min(...xs) < 30;
        Object.assign(xaxis, few ? logTicks(Math.min(...xs), Math.max(...xs)) : { dtick: 1, exponentformat: "power" });
      }
      const mark = panel.default === null || panel.scale === "category" ? [] : [{
        type: "line", x0: panel.default, x1: panel.default, yref: "paper", y0: 0, y1: 1, line: { color: colour("--quiet"), width: 1, dash: "dot" },
      }];
      Plotly.react(host, [points(panel.points, panel.points.map((point) => point.x), panel.label)],
        { ...base, height: 240, xaxis, yaxis: { ...grid, title: { text: metric, standoff: 4 }, ticksuffix: suffix, nticks: 5, automargin: true }, shapes: [...levelLines(), ...mark] }, options);
    }
  };
  // The numbers of all charts of the page: a row a trial, a column for each hyperparameter that has a chart.
  const cells = (row, texts, tag) => row.append(...texts.map((content) => Object.assign(document.createElement(tag), { textContent: content })));
  const fill = () => {
    const table = /** @type {Table} */ (document.getElementById("explore-numbers"));
    const shown = (value) => (value === null ? "–" : `${+(value * factor).toPrecision(6)}${suffix}`);
    const labels = numbers.panels.map((panel) => new Map(panel.points.map((point) => [point.number, point.label])));
    const head = table.createTHead().insertRow();
    cells(head, ["Trial", metric, "best so far", ...numbers.panels.map((panel) => panel.label)], "th");
    for (const cell of head.cells) /** @type {HTMLTableCellElement} */ (cell).scope = "col";
    const body = table.createTBody();
    for (const trial of numbers.order) {
      const value = trial.value === null ? trial.words : shown(trial.value);
      cells(body.insertRow(), [String(trial.number), value, shown(trial.best), ...labels.map((byNumber) => byNumber.get(trial.number) ?? "–")], "td");
    }
  };

  draw();
  fill();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
})();
