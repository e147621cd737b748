// The fields of a configuration's form: which of them apply beside what is typed in the others. The server decides in the end.
"use strict";
(() => {
  /** @type {(field: Part) => Part} */
  const input = (field) => /** @type {Part} */ (field.querySelector(".field-input"));
  const WHOLE = /^[+-]?\d+$/;

  // A typed number as the server reads it: no text that cannot be seen, and 10,000 is none, since it may be either of two.
  const AT_THOUSANDS = /^[+-]?[1-9]\d{0,2},\d{3}$/;
  const plainly = (text) => text.replace(/\p{Cf}/gu, "").trim().replace("\u2212", "-");
  const numberIn = (text) => (text === "" || AT_THOUSANDS.test(text) ? NaN : Number(text.replace(",", ".")));

  // Numbers are the same by what they are worth, whole ones however large they are; options by how they are written.
  const same = (one, other, option = false) => {
    if (one === other) return true;
    if (option || one === "" || other === "") return false;
    const [first, second] = [plainly(one), plainly(other)];
    return WHOLE.test(first) && WHOLE.test(second) ? BigInt(first) === BigInt(second) : numberIn(first) === numberIn(second);
  };
  const effective = (field) => input(field).value.trim() || field.dataset.default;

  const holds = (part, byName) => {
    const parent = byName.get(part.on);
    if (!parent || !isActive(parent, byName)) return false;
    const text = effective(parent);
    if (!("above" in part)) return part.values.some((value) => same(value, text, input(parent).tagName === "SELECT"));
    const number = numberIn(plainly(text));
    return !Number.isNaN(number) && (part.above === null || number > part.above) && (part.below === null || number < part.below);
  };
  const parts = (field) => JSON.parse(field.dataset.when || "[]");
  const isActive = (field, byName) => parts(field).every((part) => holds(part, byName));

  window.Evenhand = window.Evenhand ?? {};
  window.Evenhand.fields = { same, effective, isActive, parents: (field) => parts(field).map((part) => part.on) };
})();
