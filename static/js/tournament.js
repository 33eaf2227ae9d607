// Keeps a tournament's page up to date. A stream says that something was changed; then the page is asked for again, and what differs
// is put into place: what is looked at, typed into or focused stays. Live scores come with the stream. Where streams don't come
// through, the page is asked for now and then.
const ASK_EVERY_MS = 10000;
// Many look at once when a match ends: they need not ask at once.
const SPREAD_MS = 400;
const isTyped = (element) => element.matches("input, select, textarea");

// Makes `now` what `next` is, with as few changes as it takes.
function morph(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName || now.id !== next.id) return now.replaceWith(next.cloneNode(true));
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
    return;
  }
  // What somebody is at stays theirs until they send it.
  if ((isTyped(now) && now.type !== "hidden") || now.dataset.changed) return;
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  }
  for (const { name, value } of [...next.attributes]) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  const [old, fresh] = [[...now.childNodes], [...next.childNodes]];
  fresh.forEach((node, at) => (at < old.length ? morph(old[at], node) : now.append(node.cloneNode(true))));
  old.slice(fresh.length).forEach((node) => node.remove());
}

function follow(root) {
  const part = () => root.querySelector("[data-follow]");
  let shown = Number(part().dataset.now);
  let known = shown;
  let isAsking = false;

  async function refresh() {
    if (isAsking) return;
    isAsking = true;
    await new Promise((done) => setTimeout(done, Math.random() * SPREAD_MS));
    const asked = known;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    isAsking = false;
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector("[data-follow]");
    if (!next) return;
    const said = next.dataset.said;
    if (said && said !== part().dataset.said) root.querySelector("[data-said-by]").textContent = said;
    const focused = document.activeElement?.id;
    morph(part(), next);
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
    shown = Number(part().dataset.now);
    root.dispatchEvent(new CustomEvent("followed", { bubbles: true }));
    if (known > Math.max(shown, asked)) refresh();
  }

  function score(scores) {
    const keys = new Set([...root.querySelectorAll("[data-live-of]")].map((chip) => chip.dataset.liveOf));
    // A match that became live, or is so no more, looks otherwise.
    const isOther = Object.keys(scores).some((key) => !keys.has(key)) || [...keys].some((key) => !scores[key]);
    if (isOther) return refresh();
    for (const [key, live] of Object.entries(scores)) {
      const put = (selector, text) => root.querySelectorAll(`[${selector}="${key}"]`).forEach((node) => (node.lastChild.nodeValue = text));
      put("data-live-of", `${live.allies_score}–${live.axis_score}`);
      put("data-live-allies", live.allies_score);
      put("data-live-axis", live.axis_score);
    }
  }

  const ask = () => setInterval(refresh, ASK_EVERY_MS);
  if (!("EventSource" in window)) return ask();
  const source = new EventSource(root.dataset.tournament);
  source.addEventListener("changed", (event) => {
    known = Number(event.data);
    if (known !== shown) refresh();
  });
  source.addEventListener("scores", (event) => score(JSON.parse(event.data)));
  source.addEventListener("error", () => source.readyState === EventSource.CLOSED && ask());
}

document.querySelectorAll("[data-tournament]").forEach(follow);
