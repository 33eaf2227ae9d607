// Seeds by hand: rows are dragged, or moved by buttons; the numbers of the form follow. Without scripts they are typed.
function button(className, label, text, act) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className, textContent: text, onclick: act });
  made.setAttribute("aria-label", label);
  return made;
}

function arrange(form) {
  const list = form.querySelector(".seeds");
  if (!list || list.dataset.ready) return;
  list.dataset.ready = "yes";
  form.querySelector("[data-seeds-help]").hidden = false;
  const rows = () => [...list.children];
  const number = () => {
    list.dataset.changed = "yes";
    rows().forEach((row, at) => (row.querySelector(".seed-input").value = at + 1));
  };
  const move = (row, by, focus) => {
    const other = by < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    other[by < 0 ? "before" : "after"](row);
    number();
    focus.focus();
  };

  for (const row of rows()) {
    const name = row.querySelector(".name").textContent.trim();
    const up = button("seed-move", `Move ${name} up`, "↑", () => move(row, -1, up));
    const down = button("seed-move", `Move ${name} down`, "↓", () => move(row, 1, down));
    const handle = document.createElement("span");
    Object.assign(handle, { className: "seed-handle", textContent: "⠿" });
    handle.setAttribute("aria-hidden", "true");
    row.append(up, down, handle);

    // The list keeps the pointer: who is moved in the page loses it.
    handle.addEventListener("pointerdown", (event) => {
      list.setPointerCapture(event.pointerId);
      row.classList.add("is-dragged");
      event.preventDefault();
    });
  }

  // Pointer events work for mice and fingers alike.
  const dragged = () => list.querySelector(".is-dragged");
  list.addEventListener("pointermove", (event) => {
    const row = dragged();
    if (!row) return;
    const before = rows().find((other) => {
      const box = other.getBoundingClientRect();
      return other !== row && event.clientY < box.top + box.height / 2;
    });
    if (before !== row.nextElementSibling) list.insertBefore(row, before ?? null);
  });
  const drop = () => {
    const row = dragged();
    if (!row) return;
    row.classList.remove("is-dragged");
    number();
  };
  list.addEventListener("pointerup", drop);
  list.addEventListener("pointercancel", drop);
  list.addEventListener("lostpointercapture", drop);

  // A number that was typed moves its row there.
  list.addEventListener("input", () => (list.dataset.changed = "yes"));
  list.addEventListener("change", (event) => {
    const row = event.target.closest(".seed-row");
    const place = Number(event.target.value);
    if (!row || !place) return;
    const others = rows().filter((other) => other !== row);
    list.insertBefore(row, others[place - 1] ?? null);
    number();
    event.target.focus();
  });
}

const all = () => document.querySelectorAll("[data-seeds]").forEach(arrange);
all();
document.addEventListener("followed", all);
