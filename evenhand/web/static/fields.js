// The fields of a configuration's form: which of them apply beside what is typed in the others. The server decides in the end.
"use strict";
(() => {
  /** @type {(field: Part) => Part} */
  const input = (field) => /** @type {Part} */ (field.querySelector(".field-input"));
  const WHOLE = /^[+-]?\d+$/;

  // Numbers are the same by what they are worth, whole ones however large they are; options by how they are written.
  const same = (one, other, option = false) => {
    if (one === other) return true;
    if (option || one === "" || other === "") return false;
    const [first, second] = [one.replace(",", "."), other.replace(",", ".")];
    return WHOLE.test(first) && WHOLE.test(second) ? BigInt(first) === BigInt(second) : Number(first) === Number(second);
  };
  const effective = (field) => input(field).value.trim() || field.dataset.default;

  const holds = (part, byName) => {
    const parent = byName.get(part.on);
    if (!parent || !isActive(parent, byName)) return false;
    const text = effective(parent);
    if (!("above" in part)) return part.values.some((value) => same(value, text, input(parent).tagName === "SELECT"));
    const number = Number(text.replace(",", "."));
    return text !== "" && (part.above === null || number > part.above) && (part.below === null || number < part.below);
  };
  const parts = (field) => JSON.parse(field.dataset.when || "[]");
  const isActive = (field, byName) => parts(field).every((part) => holds(part, byName));

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.fields = { same, effective, isActive, parents: (field) => parts(field).map((part) => part.on) };
})();
