// Ink: how often lines and dots cross each pixel, counted in an array and painted at once, so that fifty thousand of them are drawn
// while a finger moves. Fills window.Evenhand.ink.
//
//   const ink = Evenhand.ink(width, height);
//   ink.line(x0, y0, x1, y1); ink.dot(x, y, size);
//   ink.paint(context, colour, lines);   // the more of them cross a pixel, the darker; lines: how many were drawn in all
"use strict";
(() => {
  const LEAST_ALPHA = 0.05; // of a pixel that one line crosses
  const FAINTEST = 0.35; // how dark a pixel is that as many lines cross as do on average
  const SHADES = 4096; // counts that are told apart

  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  /** @type {(colour: string) => Uint8ClampedArray} red, green, blue, alpha */
  const channels = (colour) => {
    if (!probe) return new Uint8ClampedArray(4);
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    return probe.getImageData(0, 0, 1, 1).data;
  };

  class Ink {
    constructor(width, height) {
      this.width = Math.max(1, Math.round(width));
      this.height = Math.max(1, Math.round(height));
      this.counts = new Uint32Array(this.width * this.height); // column by column, since steep lines are the most work
      this.sheet = new OffscreenCanvas(this.width, this.height);
      this.image = new ImageData(this.width, this.height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.isEmpty = true;
    }

    clear() {
      if (!this.isEmpty) this.counts.fill(0);
      this.isEmpty = true;
    }

    // From a whole x to a larger one, without the last column.
    line(x0, y0, x1, y1) {
      const { counts, height } = this;
      const slope = (y1 - y0) / (x1 - x0);
      this.isEmpty = false;
      if (slope <= 1 && slope >= -1) {
        for (let x = x0, y = y0, at = x0 * height; x < x1; x += 1, y += slope, at += height) counts[at + (y | 0)] += 1;
        return;
      }
      for (let x = x0, y = y0, at = x0 * height; x < x1; x += 1, y += slope, at += height) {
        const [from, to] = slope > 0 ? [y | 0, (y + slope) | 0] : [((y + slope) | 0) + 1, (y | 0) + 1];
        for (let row = from; row < to; row += 1) counts[at + row] += 1;
      }
    }

    // A square of pixels around a point.
    dot(x, y, size) {
      const { counts, height, width } = this;
      this.isEmpty = false;
      const left = Math.max(0, Math.round(x - size / 2)), top = Math.max(0, Math.round(y - size / 2));
      const right = Math.min(width, left + size), bottom = Math.min(height, top + size);
      for (let column = left; column < right; column += 1) for (let row = top; row < bottom; row += 1) counts[column * height + row] += 1;
    }

    /** @type {(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, colour: string, lines: number, scale?: number) => void} */
    paint(context, colour, lines, scale = 1) {
      const sheet = this.sheet.getContext("2d");
      if (this.isEmpty || !sheet) return;
      const [red, green, blue] = channels(colour);
      const base = (blue << 16) | (green << 8) | red;
      const darkening = Math.min(1.5, (FAINTEST * this.height) / Math.max(1, lines));
      const shades = new Uint32Array(SHADES);
      for (let count = 1; count < SHADES; count += 1) {
        const alpha = LEAST_ALPHA + (1 - LEAST_ALPHA) * (1 - Math.exp(-count * darkening));
        shades[count] = ((Math.round(alpha * 255) << 24) | base) >>> 0;
      }
      const { counts, pixels, width, height } = this;
      for (let x = 0; x < width; x += 1) {
        for (let y = 0, at = x * height, pixel = x; y < height; y += 1, at += 1, pixel += width) {
          const count = counts[at];
          pixels[pixel] = count < SHADES ? shades[count] : shades[SHADES - 1];
        }
      }
      sheet.putImageData(this.image, 0, 0);
      context.drawImage(this.sheet, 0, 0, this.width * scale, this.height * scale);
    }
  }

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.ink = (width, height) => new Ink(width, height);
})();
