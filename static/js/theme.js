// Chooses the theme: the system's until the reader says otherwise. Loaded with blocking="render", so a remembered
// choice is in place before the first paint. Without scripts or storage the system's preference stays.
const CHOICES = ["auto", "dark", "light"];
const STORAGE_KEY = "theme";

function remembered() {
  try {
    const choice = localStorage.getItem(STORAGE_KEY);
    return CHOICES.includes(choice) ? choice : "auto";
  } catch {
    return "auto"; // storage is refused in some private windows
  }
}

function remember(choice) {
  try {
    localStorage.setItem(STORAGE_KEY, choice);
  } catch {
    // the choice then lasts for this page
  }
}

function apply(choice) {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

let current = remembered();
apply(current);

for (const button of document.querySelectorAll("[data-theme-switch]")) {
  const label = button.querySelector("[data-theme-label]");
  label.textContent = current;
  button.hidden = false;
  button.addEventListener("click", () => {
    current = CHOICES[(CHOICES.indexOf(current) + 1) % CHOICES.length];
    label.textContent = current;
    apply(current);
    remember(current);
  });
}
