// Draws a heatmap that tells the count of each cell. What it shows follows the form beside it, and the address follows that.
// Without scripts a picture of the service's and the form do.
const GROUND = "#1b2115";
const GRID = "#2c3622";
const UNITS_PER_METRE = 16 / 0.3048;
const GRID_UNITS = 20 * UNITS_PER_METRE;
const MOST_GRID_LINES = 100;
// As on the picture: where the faintest colour begins, and how much an overview steps back.
const FAINTEST = 0.25;
const OVERVIEW_STRENGTH = 0.5;

function colour(ramp, share) {
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const step = Math.min(Math.floor(at), ramp.length - 2);
  const mixed = ramp[step].map((from, index) => Math.round(from + (ramp[step + 1][index] - from) * (at - step)));
  return `rgb(${mixed.join(" ")})`;
}

function loaded(url) {
  return new Promise((resolve) => {
    const image = new Image();
    image.addEventListener("load", () => resolve(image));
    image.addEventListener("error", () => resolve(null));
    image.src = url;
  });
}

function follow(figure) {
  const settings = JSON.parse(figure.dataset.heatmap);
  const form = figure.parentElement.querySelector("[data-heatmap-form]");
  const part = (name) => figure.querySelector(`[data-heatmap-${name}]`);
  const canvas = figure.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const [minX, minY, maxX, maxY] = settings.frame;
  const scale = canvas.width / (maxX - minX);
  const across = (x) => (x - minX) * scale;
  const down = (y) => (maxY - y) * scale; // north is up
  const overview = settings.overview && loaded(settings.overview.url);
  let heatmap = null;
  let counts = new Map();
  let chosen = null;
  let asked = 0;

  function ground(image) {
    pen.fillStyle = GROUND;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (image) {
      const [left, bottom, right, top] = settings.overview.bounds;
      pen.globalAlpha = OVERVIEW_STRENGTH;
      pen.drawImage(image, across(left), down(top), (right - left) * scale, (top - bottom) * scale);
      pen.globalAlpha = 1;
      return;
    }
    const step = GRID_UNITS * Math.max(1, Math.ceil((maxX - minX) / GRID_UNITS / MOST_GRID_LINES));
    pen.fillStyle = GRID;
    for (let x = Math.ceil(minX / step) * step; x < maxX; x += step) pen.fillRect(across(x), 0, 1, canvas.height);
    for (let y = Math.ceil(minY / step) * step; y < maxY; y += step) pen.fillRect(0, down(y), canvas.width, 1);
  }

  async function draw() {
    ground(await overview);
    const most = heatmap.points.reduce((highest, { count }) => Math.max(highest, count), 0);
    const size = heatmap.cell_size * scale;
    for (const { x, y, count } of heatmap.points) {
      pen.fillStyle = colour(settings.ramp, FAINTEST + (1 - FAINTEST) * Math.sqrt(count / most));
      // A cell of a large map may be smaller than what can be seen.
      pen.fillRect(across(x), down(y) - size, Math.max(size, 2), Math.max(size, 2));
    }
    if (chosen) {
      pen.strokeStyle = "#ece7d4";
      pen.lineWidth = 2;
      pen.strokeRect(across(chosen[0]), down(chosen[1]) - size, size, size);
    }
    figure.dataset.drawn = "";
  }

  function choose(x, y) {
    if (!heatmap) return;
    const cell = heatmap.cell_size;
    chosen = [Math.floor(x / cell) * cell, Math.floor(y / cell) * cell];
    const metres = (units) => (units / UNITS_PER_METRE).toFixed(0);
    const count = counts.get(chosen.join()) ?? 0;
    part("cell").textContent = `${count} at ${metres(chosen[0])} m east, ${metres(chosen[1])} m north`;
    draw();
  }

  function show(query, answer) {
    heatmap = answer;
    counts = new Map(answer.points.map(({ x, y, count }) => [`${x},${y}`, count]));
    chosen = null;
    const total = answer.points.reduce((sum, { count }) => sum + count, 0);
    const most = answer.points.reduce((highest, { count }) => Math.max(highest, count), 0);
    const metres = (answer.cell_size / UNITS_PER_METRE).toFixed(1);
    part("sum").textContent = total
      ? `${total.toLocaleString("en")} in ${answer.points.length.toLocaleString("en")} cells of ${metres} m, at most ${most} in one.`
      : "No position is known for this choice.";
    part("cell").textContent = "";
    part("link").href = figure.dataset.heatmapPicture + query;
    draw();
  }

  async function ask(query) {
    const turn = ++asked;
    canvas.setAttribute("aria-busy", "true");
    const answer = await fetch(figure.dataset.heatmapJson + query).catch(() => null);
    const found = answer?.ok ? await answer.json().catch(() => null) : null;
    // Whoever chose something else meanwhile waits for that.
    if (turn !== asked) return;
    canvas.removeAttribute("aria-busy");
    if (found) show(query, found);
    else part("sum").textContent = "The heatmap can’t be shown right now: choose again, or look at the picture.";
  }

  form.addEventListener("change", (event) => {
    const fields = [...new FormData(form)].filter(([, value]) => value);
    history.replaceState(null, "", `?${new URLSearchParams(fields)}#heatmap`);
    if (event.target.name === "filter[map]") return form.requestSubmit();
    ask(new URLSearchParams([["cell_size", "64"], ...fields.filter(([name]) => name !== "filter[map]")]).toString());
  });
  const place = (event) => {
    const { left, top, width } = canvas.getBoundingClientRect();
    const shrunk = canvas.width / width / scale;
    choose(minX + (event.clientX - left) * shrunk, maxY - (event.clientY - top) * shrunk);
  };
  canvas.addEventListener("pointermove", place);
  canvas.addEventListener("pointerdown", place);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step || !heatmap) return;
    event.preventDefault();
    const hottest = heatmap.points.reduce((best, point) => (point.count > best.count ? point : best), { x: 0, y: 0, count: 0 });
    const from = chosen ?? [hottest.x, hottest.y];
    choose(from[0] + step[0] * heatmap.cell_size, from[1] + step[1] * heatmap.cell_size);
  });

  // Data is asked for when somebody comes near it, as the picture would be.
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    ask(figure.dataset.heatmapQuery);
  }, { rootMargin: "400px" }).observe(figure);
}

document.querySelectorAll("[data-heatmap]").forEach(follow);
