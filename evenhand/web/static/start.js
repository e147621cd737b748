// The pages that start a run: data is dropped or chosen and sent with its progress; a changed row of the space says so at once.
"use strict";
(() => {
  /** @type {(selector: string, within?: ParentNode) => Part} */
  const find = (selector, within = document) => /** @type {Part} */ (within.querySelector(selector));
  /** @type {(selector: string, within?: ParentNode) => Part[]} */
  const all = (selector, within = document) => /** @type {Part[]} */ ([...within.querySelectorAll(selector)]);
  const MOST_BYTES = 64e6;
  const MOST_FILES = 20000;

  const drop = find("#drop");
  if (drop) {
    for (const part of all(".with-script", drop)) part.hidden = false;
    const form = find("#drop-form");
    const note = find("#drop-said");
    const progress = find("#drop-progress");
    const button = find("#drop-button");
    const say = (text, bad = false) => {
      note.hidden = !text;
      note.textContent = text;
      note.classList.toggle("bad", bad);
    };

    /** @typedef {{ path: string, file: File }} Dropped */
    /** @type {(files: Dropped[]) => void} */
    const send = (files) => {
      const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
      if (!files.length) return say("Choose a file or a folder first.", true);
      if (files.length > MOST_FILES) return say(`These are ${files.length} files; ${MOST_FILES} is the most.`, true);
      if (bytes > MOST_BYTES) return say(`This is ${Math.ceil(bytes / 1e6)} MB; 64 MB is the most. Drop fewer rows or pictures.`, true);
      const body = new FormData();
      for (const { path, file } of files) body.append("data", file, path);
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("accept", "application/json");
      request.setRequestHeader("x-csrf-token", find('meta[name="csrf-token"]').content);
      request.upload.onprogress = (event) => { if (event.lengthComputable) progress.value = String(event.loaded / event.total); };
      const ended = () => {
        progress.hidden = true;
        button.disabled = false;
      };
      request.onerror = () => {
        ended();
        say("The connection is lost, so nothing was kept. Try again in a moment.", true);
      };
      request.onload = () => {
        ended();
        const answer = answered(request.responseText);
        if (answer.go) location.assign(`${document.documentElement.dataset.root}${answer.go}`);
        else say(answer.message || `It was not taken (${request.status}).`, true);
      };
      button.disabled = true;
      progress.hidden = false;
      progress.value = "0";
      say(`Sending ${files.length === 1 ? files[0].path : `${files.length} files`} …`);
      request.send(body);
      return undefined;
    };
    const answered = (text) => {
      try {
        return JSON.parse(text);
      } catch {
        return {};
      }
    };

    /** @type {() => HTMLInputElement[]} */
    const fields = () => /** @type {any[]} */ (all('input[type="file"]', form));
    const chosen = () => fields().flatMap((field) => [...(field.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(chosen());
    });
    for (const field of fields()) field.addEventListener("change", () => { if (field.files?.length) send(chosen()); });

    // A folder that is dropped comes as entries, each of which is asked for what is in it.
    /** @type {(entry: any) => Promise<Dropped[]>} */
    const within = async (entry) => {
      if (entry.isFile) {
        const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
        return [{ path: entry.fullPath.replace(/^\//, ""), file }];
      }
      const reader = entry.createReader();
      const files = [];
      for (;;) {
        const entries = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
        if (!entries.length || files.length > MOST_FILES) return files;
        for (const one of entries) files.push(...await within(one));
      }
    };
    for (const name of ["dragenter", "dragover"]) {
      addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    addEventListener("dragleave", (event) => { if (!(/** @type {DragEvent} */ (event)).relatedTarget) drop.classList.remove("over"); });
    addEventListener("drop", async (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const dropped = /** @type {DragEvent} */ (event).dataTransfer;
      const entries = [...(dropped?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter(Boolean);
      try {
        send(entries.length ? (await Promise.all(entries.map(within))).flat() : [...(dropped?.files ?? [])].map((file) => ({ path: file.name, file })));
      } catch {
        say("What was dropped cannot be read here; choose it with the button instead.", true);
      }
    });
  }

  // Another target is another account: it is read again at once.
  const data = find("#data-form");
  for (const field of data ? all("#target, #classes", data) : []) {
    field.addEventListener("change", () => /** @type {any} */ (data).requestSubmit(find('button[value="read"]', data)));
  }

  // The space: what differs from the task's own is marked while it is typed.
  /** @type {(field: any) => boolean} */
  const differs = (field) => {
    if (field.type === "checkbox") return field.checked !== field.defaultChecked;
    if (field.tagName === "SELECT") return ![...field.options].find((option) => option.defaultSelected)?.selected;
    return field.value.trim() !== field.dataset.own;
  };
  for (const row of all(".start-limit:not(.limited)")) {
    row.addEventListener("input", () => { row.classList.toggle("limited", all("input, select", row).some(differs)); });
  }
})();
