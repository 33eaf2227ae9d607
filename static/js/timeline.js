// Lets a reader move through the moments of a match: a slider over the list, with a mark in the strip above it.
const clock = (seconds) => {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(minutes / 60);
  return hours > 0 ? `${hours}:${two(minutes % 60)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};

function scrub(list) {
  const moments = [...list.querySelectorAll("[data-t]")];
  if (moments.length < 2) return;
  const first = Number(moments[0].dataset.t);
  const last = Number(moments[moments.length - 1].dataset.t);
  const strip = document.querySelector("[data-timeline-pace]");
  const mark = strip?.querySelector(".pace-now");

  const row = document.createElement("div");
  row.className = "scrubber";
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = Math.floor(first);
  slider.max = Math.ceil(last);
  slider.value = slider.min;
  slider.setAttribute("aria-label", "Moment of the match");
  const shown = document.createElement("output");
  row.append(slider, shown);
  list.before(row);

  const show = () => {
    const at = Number(slider.value);
    shown.textContent = clock(at);
    slider.setAttribute("aria-valuetext", clock(at));
    const current = moments.findLast((moment) => Number(moment.dataset.t) <= at) ?? moments[0];
    for (const moment of moments) moment.removeAttribute("aria-current");
    current.setAttribute("aria-current", "true");
    // The list alone is to move, not the page.
    list.scrollTop = current.offsetTop - list.clientHeight / 2;
    if (!mark) return;
    const x = (600 * at) / Math.max(1, Number(strip.dataset.timelinePace));
    mark.setAttribute("x1", x);
    mark.setAttribute("x2", x);
    mark.classList.add("is-set");
  };
  shown.textContent = clock(first);
  slider.addEventListener("input", show);
}

for (const list of document.querySelectorAll("[data-timeline]")) scrub(list);
