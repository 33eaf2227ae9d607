// Makes brackets that stand side by side smaller and larger. The factor belongs to the page, not to what is asked for again while
// matches are played, and lasts as long as the tab. Without scripts there is the bracket as a picture.
const FACTORS = [0.4, 0.5, 0.6, 0.75, 0.9, 1, 1.25, 1.5];
const root = document.documentElement;
let factor = Number(sessionStorage.getItem("zoom")) || 1;

function show() {
  root.style.setProperty("--zoom", factor);
  for (const group of document.querySelectorAll(".zoom")) {
    group.querySelector("[data-zoom='out']").disabled = factor <= FACTORS[0];
    group.querySelector("[data-zoom='in']").disabled = factor >= FACTORS.at(-1);
  }
}

// So that the widest part of the bracket is seen whole.
function fitting() {
  const parts = [...document.querySelectorAll(".bracket-scroll")];
  return Math.min(1, ...parts.map((part) => (factor * part.clientWidth) / Math.max(part.scrollWidth, 1)));
}

const next = {
  in: () => FACTORS.find((one) => one > factor + 0.001) ?? factor,
  out: () => FACTORS.findLast((one) => one < factor - 0.001) ?? factor,
  fit: () => Math.max(FACTORS[0], Math.floor(fitting() * 100) / 100),
};

document.addEventListener("click", ({ target }) => {
  const how = target.closest?.("[data-zoom]")?.dataset.zoom;
  if (!how) return;
  factor = next[how]();
  sessionStorage.setItem("zoom", factor);
  show();
});
document.addEventListener("followed", show);
root.dataset.zooms = "";
show();
