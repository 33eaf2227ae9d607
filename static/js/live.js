// Keeps a live page up to date: parts of it come as HTML, made by the service, over one stream. Where streams don't come
// through, the page is asked for now and then and its parts are taken from there; without scripts it is loaded again.
const AFTER_THE_END_MS = 4000;
const ASK_EVERY_MS = 10000;
// A stream begins with what there is.
const STREAM_BEGINS_WITHIN_MS = 10000;
const GLIDE_MS = 200;

const parts = (root) => [...root.querySelectorAll("[data-live-part]")];

function announce(root) {
  const announcer = root.querySelector("[data-live-announcer]");
  const said = root.querySelector("[data-said]")?.dataset.said;
  if (announcer && said && announcer.textContent !== said) announcer.textContent = said;
}

// A feed, whose new lines stand on top. Those below make way by gliding, not by a leap; who wants no motion gets none. What comes
// while they glide waits until that is painted to its end: a line that was moved halfway would leap.
function feed(lines) {
  const most = Number(lines.dataset.liveMost);
  const waiting = [];
  let isGliding = false;

  const top = (line) => line.getBoundingClientRect().top - lines.getBoundingClientRect().top;
  const show = () => {
    const before = [...lines.children].map((line) => [line, top(line)]);
    lines.insertAdjacentHTML("afterbegin", waiting.splice(0).reverse().join(""));
    while (lines.children.length > most) lines.lastElementChild.remove();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    isGliding = true;
    const glides = before
      .filter(([line]) => line.isConnected)
      .map(([line, from]) => line.animate({ transform: [`translateY(${from - top(line)}px)`, "none"] }, { duration: GLIDE_MS, easing: "ease-out" }));
    Promise.allSettled(glides.map((glide) => glide.finished)).then(() => requestAnimationFrame(() => setTimeout(glided)));
  };
  const glided = () => {
    isGliding = false;
    if (waiting.length) show();
  };

  return {
    add: (html) => {
      waiting.push(html);
      // A page that nobody sees paints nothing.
      if (waiting.length > most) waiting.shift();
      if (!isGliding) show();
    },
    replace: (html) => {
      waiting.length = 0;
      lines.innerHTML = html;
    },
  };
}

function ask(root) {
  const timer = setInterval(async () => {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok) return;
    if (answer.redirected) {
      clearInterval(timer);
      location.assign(answer.url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if ("liveAnew" in root.dataset && !page.querySelector("[data-live-anew]")) return location.reload();
    for (const part of parts(root)) {
      const fresh = page.querySelector(`[data-live-part="${part.dataset.livePart}"]`);
      if (fresh) part.replaceChildren(...fresh.childNodes);
    }
    announce(root);
  }, ASK_EVERY_MS);
}

function follow(root) {
  if (!("EventSource" in window)) return ask(root);
  const part = (name) => root.querySelector(`[data-live-part="${name}"]`);
  const source = new EventSource(root.dataset.live);
  let isOver = false;
  const giveUp = () => {
    if (isOver) return;
    isOver = true;
    source.close();
    lost.hidden = true;
    ask(root);
  };
  const late = setTimeout(giveUp, STREAM_BEGINS_WITHIN_MS);
  // A browser tries again by itself after a lost connection, and not after a refusal.
  const lost = root.querySelector("[data-live-lost]");
  source.addEventListener("open", () => (lost.hidden = true));
  source.addEventListener("error", () => {
    lost.hidden = isOver;
    if (source.readyState === EventSource.CLOSED) giveUp();
  });

  const on = (name, act) =>
    source.addEventListener(name, (event) => {
      clearTimeout(late);
      act(event.data);
    });
  const replace = (name) => (html) => {
    part(name).innerHTML = html;
  };

  if (part("list")) on("list", replace("list"));
  // What is empty has no place for the first match; the page that has one does.
  if ("liveAnew" in root.dataset) {
    on("list", (html) => {
      const news = document.createElement("template");
      news.innerHTML = html;
      if (news.content.querySelector(".card")) location.reload();
    });
  }
  // A match's state belongs to several places of its page.
  if (part("board")) {
    on("board", (html) => {
      const news = document.createElement("template");
      news.innerHTML = html;
      for (const piece of news.content.querySelectorAll("[data-live-into]")) part(piece.dataset.liveInto)?.replaceChildren(...piece.childNodes);
      announce(root);
    });
  }
  // Feeds: the whole of one, or the next line.
  for (const [line, whole] of [["kill", "kills"], ["chat", "chats"], ["achievement", "achievements"]]) {
    const lines = part(line);
    if (!lines) continue;
    const { add, replace: anew } = feed(lines);
    on(whole, anew);
    on(line, add);
  }
  on("end", () => {
    isOver = true;
    source.close();
    setTimeout(() => location.assign(root.dataset.liveAfter), AFTER_THE_END_MS);
  });
}

document.querySelectorAll("[data-live]").forEach(follow);
