// The workbench's form for a trial: which fields apply, and values taken from another trial without a reload. The rest of the
// page is kept live by study.js; without scripts every field is in sight and the server says what does not apply.
"use strict";
(() => {
  /** @type {(selector: string, within?: ParentNode) => Part} */
  const find = (selector, within = document) => /** @type {Part} */ (within.querySelector(selector));
  /** @type {(selector: string, within?: ParentNode) => Part[]} */
  const all = (selector, within = document) => /** @type {Part[]} */ ([...within.querySelectorAll(selector)]);
  const form = find("#add-form");
  if (!form) return;
  const fields = all(".field", form);
  const byName = new Map(fields.map((field) => [field.dataset.name, field]));
  const input = (field) => find(".field-input", field);

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
  const complain = (field, text) => {
    field.classList.toggle("wrong", Boolean(text));
    input(field).toggleAttribute("aria-invalid", Boolean(text));
    find(".field-problem", field).textContent = text;
  };

  form.addEventListener("input", (event) => {
    const field = /** @type {Part} */ (event.target).closest(".field");
    if (field) complain(field, "");
    refresh();
  });

  // The server has moved what is not allowed any more to the nearest that is; an option that is gone has to be chosen anew.
  const start = (number, values) => {
    for (const field of fields) {
      input(field).value = values[field.dataset.name] ?? field.dataset.default;
      complain(field, "");
    }
    find("#add-source").textContent = `Starts from trial ${number}. Change what you want to try.`;
    refresh();
    find("#trial").open = true;
    find("#trial").scrollIntoView({ block: "nearest", behavior: "smooth" });
    input(fields.find((field) => !field.classList.contains("inactive"))).focus({ preventScroll: innerWidth >= 900 });
  };
  find("#trials").addEventListener("click", (event) => {
    const use = /** @type {Part} */ (event.target).closest("[data-use]");
    if (!use) return;
    event.preventDefault();
    start(use.dataset.use, JSON.parse(use.dataset.values));
  });

  refresh();
  // After the browser has gone to the form's place in the page, which takes the focus away.
  addEventListener("load", () => setTimeout(() => {
    find(".field.wrong .field-input, .limit.wrong input, .belief.wrong [aria-invalid]")?.focus();
  }));
})();
