// Times in the reader's own zone: the service writes UTC, and without scripts that stays. Ages go on while a page is open.
const EVERY_MS = 30_000;
const TIMES = "time[data-at], time[data-age]";
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const two = (number) => String(number).padStart(2, "0");
const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const moment = (at) => `${day(at)} ${two(at.getHours())}:${two(at.getMinutes())}`;

// As the service says it.
function age(at) {
  const minutes = Math.floor((Date.now() - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ago`;
  if (minutes < 43_200) return `${Math.floor(minutes / 1440)} d ago`;
  return day(at);
}

function tell() {
  for (const time of document.querySelectorAll(TIMES)) {
    const at = new Date(time.dateTime);
    const said = "at" in time.dataset ? moment(at) : age(at);
    // Else what is written here would be seen as something new, for ever.
    if (time.textContent === said) continue;
    time.textContent = said;
    time.title = `${moment(at)}, ${zone}`;
  }
}

tell();
setInterval(tell, EVERY_MS);
// Parts of pages come later, with times as the service writes them.
new MutationObserver(tell).observe(document.body, { childList: true, characterData: true, subtree: true });
for (const said of document.querySelectorAll("[data-zone]")) said.textContent = `Times: ${zone}`;
