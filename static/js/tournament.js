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
// The form whose answer is awaited, how many were answered, and who asked for what is being merged.
let formOut = null;
let formsAnswered = 0;
let mergedFor = null;
let answeredBefore = 0;
let lastSaid = said();
let latest = {};
let path = location.pathname;

const isStream = (ctx) => ctx.request.action.endsWith("/stream");
// When the page is asked for by itself, what is typed stays, and what a form has done until its reader has seen it. What was moved
// stays until its own form is sent.
const isSomebodys = (node) =>
  mergedFor === content ? node.matches("input:not([type=hidden]), select, textarea, [data-changed], .toasts") : node.matches("[data-changed]") && !mergedFor?.contains(node);

// What the service says once stays until its reader goes on.
const isSaidOnce = () => content.querySelector("[data-once]") !== null;

htmx.registerExtension("tournament", {
  htmx_before_morph_node: (node) => !isSomebodys(node),
  htmx_before_morph_attr: (node, { attrName }) => !(mergedFor === content && attrName === "open"),
});

async function refresh() {
  if (isAsking || formOut) return;
  await new Promise((done) => setTimeout(done, Math.random() * SPREAD_MS));
  if (isAsking || formOut || !page() || isSaidOnce()) return;
  isAsking = true;
  answeredBefore = formsAnswered;
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

content.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  if (ctx.sourceElement instanceof HTMLFormElement) formOut = ctx;
});
content.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  const { raw, status } = ctx.response;
  if (ctx === formOut) {
    formOut = null;
    formsAnswered += 1;
  }
  if (isStream(ctx)) {
    if (raw.headers.get("Content-Type")?.startsWith("text/event-stream")) return;
    askNowAndThen();
    event.preventDefault();
  } else if (ctx.sourceElement === content) {
    // The next look may find it again; and what a form is answered is newer, and told once.
    if (status !== 200 || isSaidOnce() || formOut || formsAnswered !== answeredBefore) event.preventDefault();
  } else if (raw.redirected && !new URL(raw.url).pathname.startsWith("/tournaments/")) {
    location.assign(raw.url);
    event.preventDefault();
  }
});
content.addEventListener("htmx:error", ({ detail }) => {
  if (detail.ctx === formOut) formOut = null;
  if (detail.ctx && isStream(detail.ctx)) askNowAndThen();
});
// Until it has begun each step of a tournament is another page: it comes as one, so that nothing moves under anybody's eyes. Whoever
// is at work goes on with what there is.
const isAtWork = () => content.contains(document.activeElement?.closest("form, dialog")) || content.querySelector("[data-changed], dialog[open]") !== null;
const isOtherStep = (html) => page().dataset.status !== "in_progress" && !html.includes(`data-status="${page().dataset.status}"`);

content.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  mergedFor = ctx.sourceElement;
  if (mergedFor === content && isOtherStep(ctx.text) && !isAtWork()) {
    event.preventDefault();
    location.reload();
    return;
  }
  // What could not be used is corrected where it was typed.
  const isDone = ctx.response.status < 400 && !ctx.text.includes("data-refused");
  if (mergedFor instanceof HTMLFormElement && isDone) mergedFor.reset();
});
document.addEventListener("htmx:before:history:update", (event) => {
  const { history, response } = event.detail;
  // An answer to a form that leads nowhere has no address to come back to.
  if (!response.raw.redirected || history.path === location.pathname + location.search) event.preventDefault();
});
content.addEventListener("htmx:after:swap", () => {
  known = Math.max(known, shown());
  if (location.pathname !== path) {
    path = location.pathname;
    scrollTo(0, 0);
  }
  // Whoever sent a form that is gone goes on from here by keyboard, and not from the beginning.
  if (mergedFor !== content && document.activeElement === document.body) content.focus({ preventScroll: true });
  mergedFor = null;
  const announcer = content.querySelector("[data-said-by]");
  if (announcer && said() !== lastSaid) announcer.textContent = said();
  lastSaid = said();
  content.dispatchEvent(new CustomEvent("followed", { bubbles: true }));
});
