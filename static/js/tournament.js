// Keeps a tournament's page up to date and sends its forms without loading it anew. htmx does both: it follows the stream, sends what
// is boosted, and morphs what differs into place. Here is what it can't know: when the page is asked for again, what stays while
// somebody is at it, and live scores, which come with the stream. Without scripts forms are sent as ever.
const ASK_EVERY_MS = 10000;
// Many look at once when a match ends: they need not ask at once.
const SPREAD_MS = 400;
// A match that has just become live may not be on the page yet.
const LOOK_AGAIN_MS = 2000;

const content = document.getElementById("content");
const page = () => document.getElementById("tournament");
const shown = () => Number(page()?.dataset.version);
const said = () => page()?.dataset.said;
let known = shown();
let isAsking = false;
let lastSaid = said();
let latest = {};

const isStream = (ctx) => ctx.request.action.endsWith("/stream");
// What is typed or moved stays until it is sent, and what a form has done until its reader has seen it.
const isSomebodys = (node) => node.matches("input:not([type=hidden]), select, textarea, [data-changed], .toasts");

// What the service says once stays until its reader goes on.
const isSaidOnce = () => content.querySelector("[data-once]") !== null;

htmx.registerExtension("tournament", {
  htmx_before_morph_node: (node) => !(isAsking && isSomebodys(node)),
  htmx_before_morph_attr: (node, { attrName }) => !(isAsking && attrName === "open"),
});

async function refresh() {
  if (isAsking) return;
  await new Promise((done) => setTimeout(done, Math.random() * SPREAD_MS));
  if (isAsking || !page() || isSaidOnce()) return;
  isAsking = true;
  const asked = known;
  try {
    await htmx.ajax("GET", location.pathname + location.search, { source: content, target: "#content", swap: "innerMorph" });
  } finally {
    isAsking = false;
  }
  if (known > Math.max(shown(), asked)) refresh();
}

function score(scores, isAgain = false) {
  latest = scores;
  // A page without matches shows no scores.
  if (!content.querySelector(".bout, .versus")) return;
  const keys = new Set([...content.querySelectorAll("[data-live-of]")].map((chip) => chip.dataset.liveOf));
  // A match that became live, or is so no more, looks otherwise.
  const isOther = Object.keys(scores).some((key) => !keys.has(key)) || [...keys].some((key) => !scores[key]);
  if (isOther) {
    const lookAgain = () => isAgain || latest !== scores || score(scores, true);
    return refresh().then(() => setTimeout(lookAgain, LOOK_AGAIN_MS));
  }
  for (const [key, live] of Object.entries(scores)) {
    const put = (selector, text) => content.querySelectorAll(`[${selector}="${key}"]`).forEach((node) => (node.lastChild.nodeValue = text));
    put("data-live-of", `${live.allies_score}–${live.axis_score}`);
    put("data-live-allies", live.allies_score);
    put("data-live-axis", live.axis_score);
  }
}

let asking = 0;
// Where streams don't come through.
const askNowAndThen = () => (asking ||= setInterval(refresh, ASK_EVERY_MS));

content.addEventListener("changed", ({ detail }) => {
  known = Number(detail.data);
  if (known !== shown()) refresh();
});
content.addEventListener("scores", ({ detail }) => score(JSON.parse(detail.data)));

content.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  const { raw, status } = ctx.response;
  if (isStream(ctx)) {
    if (raw.headers.get("Content-Type")?.startsWith("text/event-stream")) return;
    askNowAndThen();
    event.preventDefault();
  } else if (ctx.sourceElement === content) {
    // The next look may find it again.
    if (status !== 200 || isSaidOnce()) event.preventDefault();
  } else if (raw.redirected && !new URL(raw.url).pathname.startsWith("/tournaments/")) {
    location.assign(raw.url);
    event.preventDefault();
  }
});
content.addEventListener("htmx:error", ({ detail }) => detail.ctx && isStream(detail.ctx) && askNowAndThen());
content.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
  if (ctx.sourceElement instanceof HTMLFormElement && ctx.response.status < 400) ctx.sourceElement.reset();
});
document.addEventListener("htmx:before:history:update", (event) => {
  const { history, response } = event.detail;
  // An answer to a form that leads nowhere has no address to come back to.
  if (!response.raw.redirected || history.path === location.pathname + location.search) event.preventDefault();
});
content.addEventListener("htmx:after:swap", () => {
  known = Math.max(known, shown());
  const announcer = content.querySelector("[data-said-by]");
  if (announcer && said() !== lastSaid) announcer.textContent = said();
  lastSaid = said();
  content.dispatchEvent(new CustomEvent("followed", { bubbles: true }));
});
