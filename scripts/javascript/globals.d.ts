// What the scripts of the pages have besides the browser: the libraries that pages load before them, and each other.

import htmxLibrary from "htmx.org";
import "uplot"; // which declares the global uPlot

declare global {
  const htmx: typeof htmxLibrary;

  /** An element of our own templates, with what the kinds of it have that scripts use. A selector that finds none is a mistake. */
  interface Part extends HTMLElement {
    readonly dataset: DOMStringMap & Record<string, string>;
    closest<E extends Element = Part>(selectors: string): E | null;
    // controls
    checked: boolean;
    disabled: boolean;
    name: string;
    placeholder: string;
    required: boolean;
    type: string;
    value: string;
    selectedOptions: HTMLCollectionOf<HTMLOptionElement>;
    select(): void;
    // forms, which are sent as they are
    action: string;
    elements: HTMLFormControlsCollection & Record<string, Part>;
    // dialogs and details
    open: boolean;
    returnValue: string;
    close(value?: string): void;
    showModal(): void;
    // progress; setters take numbers
    max: number;
    // tables and their rows
    rows: HTMLCollectionOf<HTMLTableRowElement>;
    // meta and template
    content: string;
  }

  interface Table extends HTMLTableElement {
    tHead: HTMLTableSectionElement;
  }

  /** A measurement as the server sends it: index, step, epoch or null, loss, value, seconds. */
  type Point = [index: number, step: number, epoch: number | null, loss: number | null, value: number | null, seconds: number];

  /** What a chart draws: its x values, and for each line its y values, null where it has none. */
  type Columns = [xs: number[], ...ys: (number | null)[][]];

  /** A level that an accuracy is read against. */
  type Level = [name: string, share: number];
  /** A place in a plot, in its canvas's pixels. */
  type Box = { left: number; right: number; top: number; bottom: number };

  interface ChartOptions {
    kind?: string;
    percent?: boolean;
    empty?: string;
    epochs?: number;
    /** What the values are: "accuracy". */
    metric?: string;
    /** Large letters, for the wall. */
    large?: boolean;
  }
  /** What every chart does; each kind says what it draws. See charts.js. */
  class BaseChart {
    constructor(host: HTMLElement, options: ChartOptions, waiting: string);
    host: HTMLElement;
    options: ChartOptions;
    changed(rebuild?: boolean): void;
    settings(): uPlot.Options;
    names(): { across: string; up: string };
    columns(): Columns;
    parts(): Partial<uPlot.Options> & Pick<uPlot.Options, "series">;
    key(): string;
    last(): number;
    show(value: number, tick?: boolean): string;
    words(plot: uPlot, index: number): string;
    cells(): { heads: string[]; rows: string[][] };
    back(plot: uPlot): void;
    paint(plot: uPlot): void;
  }
  interface LossChart {
    set(points: Point[]): void;
    append(points: Point[]): void;
    stepsPerEpoch(steps: number | null): void;
    proposedBy(kind: string): void;
  }
  interface ValidationChart {
    set(number: number, points: Point[]): void;
    append(points: Point[]): void;
    plan(epochs: number): void;
    compare(trials: { number: number; values: [number, number][] }[]): void;
    best(best: { number: number; value: number } | null): void;
  }
  interface LeadersChart {
    set(lines: { name: string; values: [number, number][] }[]): void;
  }
  interface EvenhandScripts {
    /** The path, behind a proxy, under which all pages lie; empty where there is none. */
    root: string;
    /** A colour of the style sheet as a canvas takes it: see theme.js. */
    colour(name: string): string;
    /** Between two ticks of an axis that counts: see theme.js. */
    wholeSteps: number[];
    /** Follow an event stream; what is given back ends it. Handlers get parsed JSON. */
    follow(url: string, handlers: Record<string, (content: any) => void>): () => void;
    /** Thousands of rows of which those in sight are there: see virtual_rows.js. */
    virtualRows(options: {
      table: HTMLTableElement;
      body: HTMLTableSectionElement;
      block: number;
      total: number;
      height: () => number;
      address: () => string;
      scroller?: HTMLElement | null;
      drawn?: () => void;
      changed?: (total: number) => void;
    }): { refresh(): Promise<void>; draw(): void; readonly total: number; end(): void };
    /** The charts of a run: see run_charts.js. */
    runCharts: {
      curves(host: HTMLElement, options: Record<string, any>): {
        readonly curves: Map<number, unknown>;
        add(columns: Record<"numbers" | "starts" | "own" | "epochs" | "values", number[]>): void;
        keep(numbers: number[]): void;
        mark(marks: { best?: number | null; chosen?: number | null; pinned?: number[]; subject?: number | null }): void;
      };
      progress(host: HTMLElement, options: Record<string, any>): { set(content: any): void };
    };
    /** The forms of who works with a method: see workbench.js. They begin anew where they were replaced. */
    work?: { begin(): void; open(name: string): void; toWrong(): boolean };
    /** Seconds as 1:23:41 or 2:10. */
    clock(seconds: number): string;
    /** Which fields of a configuration's form apply: see fields.js. */
    fields: {
      same(one: string, other: string, option?: boolean): boolean;
      effective(field: any): string;
      isActive(field: any, byName: Map<string | undefined, any>): boolean;
      parents(field: any): string[];
    };
    /** A run's trials as columns: see columns.js. */
    columns(address: string, onMore: () => void): Promise<any>;
    /** Where values lie on an axis: see scales.js. */
    scaleOf(axis: any, low: number, high: number): any;
    /** Pixels that lines are counted into: see ink.js. */
    ink(width: number, height: number): any;
    /** What is brushed: see brushes.js. */
    brushes(run: any, axes: any[]): any;
    /** See parallel.js. */
    parallel(host: HTMLElement, run: any, brushes: any, handlers: { changed(axis: any, isSettled: boolean): void; pointed(index: number): void }): any;
    /** See scatter.js. */
    scatter(host: Element, run: any, options: any): any;
    /** See table.js. */
    table(heads: (string | Node)[], rows: (string | Node)[][]): HTMLTableElement;
    charts: {
      Chart: typeof BaseChart;
      loss(host: HTMLElement, options?: ChartOptions): LossChart;
      validation(host: HTMLElement, options?: ChartOptions): ValidationChart;
      /** A table of a chart's numbers. */
      table(heads: string[], rows: string[][]): HTMLTableElement;
      /** What a chart's axes say, with a bar between them. */
      axesOf(plot: uPlot): string;
      leaders(host: HTMLElement, options?: ChartOptions): LeadersChart;
      levelsOf(host: Element): Level[];
      withLevels(levels: Level[], unit: number, low: number, high: number): [number, number];
      rangeOfShares(levels: Level[], unit: number, lowest: number, highest: number): [number, number];
      paintLevels(plot: uPlot, levels: Level[], unit: number, size?: number): Box[];
      placeOfName(plot: Pick<uPlot, "bbox">, width: number, height: number, y: number, taken: Box[]): Box;
    };
  }

  const Evenhand: EvenhandScripts;
  interface Window {
    Evenhand: EvenhandScripts;
  }
}
