// Asks before what can't simply be done again: lifts the question of an <details class="ask"> over the page. Without scripts it
// stands below its button.
document.addEventListener("click", (event) => {
  const summary = event.target.closest?.(".ask > summary");
  if (!summary) return;
  event.preventDefault();
  const dialog = summary.nextElementSibling;
  summary.parentElement.open = true;
  dialog.showModal();
  // What was folded away a moment ago takes no focus by itself.
  dialog.querySelector("[autofocus]")?.focus();
});

document.addEventListener(
  "close",
  ({ target }) => {
    if (target.parentElement?.matches(".ask")) target.parentElement.open = false;
  },
  true,
);

// What was agreed to is on its way; what becomes of it is said on the page.
document.addEventListener("submit", ({ target, submitter }) => {
  if (target.method !== "dialog") submitter?.closest("dialog[open]")?.close();
});

// A page that keeps itself up to date leaves open what its reader has opened.
globalThis.htmx?.registerExtension("dialogs", {
  htmx_before_morph_attr: (node, { attrName }) => !(attrName === "open" && node.matches("dialog, .ask")),
});
