// Questions that depend on earlier ones of the same page appear, and name the answers given, while the page is filled in.
// The server decides again when the form is sent. What was typed outlives a refresh: it is kept in this tab only.
"use strict";
{
  const find = (id) => /** @type {Part} */ (document.getElementById(id));
  /** @type {(selector: string, within: ParentNode) => Part[]} */
  const all = (selector, within) => /** @type {Part[]} */ ([...within.querySelectorAll(selector)]);
  const form = find("questions");
  const seen = find("seen");
  const appeared = find("appeared");
  const DRAFT = "evenhand questions ";
  const draft = `${DRAFT}${form.dataset.person} ${form.getAttribute("action")}`;

  const number = (text) => (/^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text.replace(",", ".")) : null);
  const plain = (text) => text.trim().replace("\u2212", "-");

  function controls(question) {
    return all("[name]", question);
  }

  // The values given: none where it is unanswered.
  function given(question) {
    return controls(question)
      .filter((control) => !["radio", "checkbox"].includes(control.type) || control.checked)
      .map((control) => plain(control.value))
      .filter((value) => value !== "");
  }

  // The answer in words, as the server would say it; rows of a matrix with their names.
  function said(question) {
    const rows = [...question.querySelectorAll("tbody tr")];
    if (rows.length) {
      const lines = rows.map((row) => [row.querySelector("[data-row]").textContent, labels(row)]).filter(([, words]) => words);
      return lines.map(([row, words]) => `${row}: ${words}`).join("; ");
    }
    return labels(question);
  }

  function labels(part) {
    return controls(part)
      .filter((control) => !["radio", "checkbox"].includes(control.type) || (control.checked && control.value !== ""))
      .map((control) => {
        if (control.tagName === "SELECT") return control.value === "" ? "" : control.selectedOptions[0].textContent;
        if (["radio", "checkbox"].includes(control.type)) return control.closest("label")?.querySelector("[data-label]")?.textContent ?? "";
        return control.value.trim().replace(/\s+/g, " ");
      })
      .filter((text) => text !== "")
      .join(", ");
  }

  function same(value, answer, numeric) {
    if (!numeric) return String(value) === answer;
    const [one, other] = [number(String(value)), number(answer)];
    return one !== null && one === other;
  }

  function holds([path, op, value], answers) {
    const { values = [], numeric = false } = answers.get(path) ?? {};
    const is = values.some((answer) => same(value, answer, numeric));
    if (op === "is") return is;
    if (op === "is not") return !is;
    const [answer, limit] = [numeric && values.length ? number(values[0]) : null, number(String(value))];
    if (answer === null || limit === null) return false;
    return op === "at least" ? answer >= limit : answer <= limit;
  }

  function open(part, answers) {
    return JSON.parse(part.dataset.when || "[]").every((condition) => holds(condition, answers));
  }

  function update() {
    const answers = new Map();
    const names = [];
    for (const part of all("[data-part]", form)) {
      const shows = open(part, answers);
      let any = false;
      for (const question of all("[data-question]", part)) {
        const on = shows && open(question, answers);
        question.hidden = !on;
        for (const control of controls(question)) control.disabled = !on;
        if (!on) continue;
        any = true;
        names.push(question.dataset.question.split(".")[1]);
        const numeric = ["number", "likert"].includes(question.dataset.kind);
        answers.set(question.dataset.question, { values: given(question), numeric, said: said(question) });
      }
      part.hidden = !any;
    }
    const more = names.length - seen.value.split(" ").filter(Boolean).length;
    if (more > 0) appeared.textContent = more === 1 ? "One more question appeared below." : `${more} more questions appeared below.`;
    seen.value = names.join(" ");
    for (const place of all("[data-piped]", form)) {
      const text = answers.get(place.dataset.piped)?.said || "…";
      if (place.textContent !== text) place.textContent = text;
    }
  }

  function keep() {
    const typed = [...new FormData(/** @type {any} */ (form))].filter(([name]) => name.startsWith("q."));
    sessionStorage.setItem(draft, JSON.stringify(typed));
  }

  function restore() {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(DRAFT) && key !== draft) sessionStorage.removeItem(key);
    }
    if ("again" in form.dataset) return; // the server gave back what was sent
    for (const [name, value] of JSON.parse(sessionStorage.getItem(draft) ?? "[]")) {
      for (const control of all(`[name="${CSS.escape(name)}"]`, form)) {
        if (["radio", "checkbox"].includes(control.type)) control.checked ||= control.value === value;
        else control.value = value;
      }
    }
  }

  restore();
  update();
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, () => {
      update();
      keep();
    });
  }
}
