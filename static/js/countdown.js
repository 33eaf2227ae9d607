// Counts down how long a code is good. The page says until when; without scripts that stays. What is left comes from the
// service, as a number of seconds: the clock of this machine may be wrong.
const EVERY_MS = 1000;

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function countDown(timer) {
  const end = performance.now() + Number(timer.dataset.countdown) * 1000;
  const lead = timer.dataset.lead;
  let ticking = 0;
  const tell = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    timer.textContent = left > 0 ? `${lead} ${clock(left)} more.` : "Expired: ask for a new one.";
    if (left <= 0) clearInterval(ticking);
  };
  ticking = setInterval(tell, EVERY_MS);
  tell();
}

for (const timer of document.querySelectorAll("[data-countdown]")) countDown(timer);
