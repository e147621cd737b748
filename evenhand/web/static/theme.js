// Light or dark, as the system asks, and the colours of either; loaded before the first paint, so that no page flashes.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => { document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  apply();
  dark.addEventListener("change", apply);

  // A colour of the style sheet as a canvas takes it: custom properties may hold var() and color-mix().
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const shade = getComputedStyle(probe).color;
    probe.remove();
    return shade;
  };
  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.colour = colour;
  // Between two ticks of an axis that counts: epochs, steps, trials.
  window.Evenhand.wholeSteps = [1, 2, 5].flatMap((step) => [...Array(9).keys()].map((power) => step * 10 ** power)).sort((one, other) => one - other);
  window.Evenhand.root = document.documentElement.dataset.root ?? "";  // the path, behind a proxy, under which all pages lie
})();
