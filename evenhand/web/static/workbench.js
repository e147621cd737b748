// The form for a trial of one's own, on the workbench and on a run's page: which fields apply, and values taken from another trial
// without a reload. The rest of the page is kept live by study.js or run.js; without scripts every field is in sight and the server
// says what does not apply. Fills Evenhand.work.
"use strict";
(() => {
  /** @type {(selector: string, within?: ParentNode) => Part} */
  const find = (selector, within = document) => /** @type {Part} */ (within.querySelector(selector));
  /** @type {(selector: string, within?: ParentNode) => Part[]} */
  const all = (selector, within = document) => /** @type {Part[]} */ ([...within.querySelectorAll(selector)]);
  const input = (field) => find(".field-input", field);
  const complain = (field, text) => {
    field.classList.toggle("wrong", Boolean(text));
    input(field).toggleAttribute("aria-invalid", Boolean(text));
    find(".field-problem", field).textContent = text;
  };

  // The form as it stands there now; what fills it with a trial's values.
  const begin = () => {
    const form = find("#add-form");
    if (!form) return null;
    const fields = all(".field", form);
    const byName = new Map(fields.map((field) => [field.dataset.name, field]));
    const refresh = () => {
      for (const field of fields) {
        const active = Evenhand.fields.isActive(field, byName);
        field.classList.toggle("inactive", !active);
        input(field).disabled = !active;
      }
      const hidden = fields.filter((field) => field.classList.contains("inactive")).length;
      const rest = find("#add-rest");
      rest.hidden = !hidden;
      rest.textContent = hidden === 1 ? "1 more appears with other choices." : `${hidden} more appear with other choices.`;
    };
    form.addEventListener("input", (event) => {
      const field = /** @type {Part} */ (event.target).closest(".field");
      if (field) complain(field, "");
      refresh();
    });
    refresh();
    // The server has moved what is not allowed any more to the nearest that is; an option that is gone has to be chosen anew.
    return (number, values) => {
      for (const field of fields) {
        input(field).value = values[field.dataset.name] ?? field.dataset.default;
        complain(field, "");
      }
      find("#add-source").textContent = `Starts from trial ${number}. Change what you want to try.`;
      refresh();
      open("trial");
    };
  };
  let start = begin();

  // Open one of the forms and go to its first field.
  const open = (name) => {
    const part = find(`#${name}.do`);
    if (!part) return;
    part.open = true;
    part.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    const first = find(".field:not(.inactive) .field-input, .limit input, .belief[open] :is(input, select)", part);
    first?.focus({ preventScroll: innerWidth >= 900 });
  };
  const toWrong = () => {
    const wrong = find(".field.wrong .field-input, .limit.wrong input, .belief.wrong [aria-invalid]");
    wrong?.focus();
    return Boolean(wrong);
  };

  find("#trials")?.addEventListener("click", (event) => {
    const use = /** @type {Part} */ (event.target).closest("[data-use]");
    if (!use || !start) return;
    event.preventDefault();
    start(use.dataset.use, JSON.parse(use.dataset.values));
  });
  // After the browser has gone to the form's place in the page, which takes the focus away.
  addEventListener("load", () => setTimeout(toWrong));

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.work = { begin: () => { start = begin(); }, open, toWrong };
})();
