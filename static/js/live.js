// Keeps a live page up to date: parts of it come as HTML, made by the service, over one stream. Without scripts the page
// is loaded again now and then.
const AFTER_THE_END_MS = 4000;

function follow(root) {
  const part = (name) => root.querySelector(`[data-live-part="${name}"]`);
  const announcer = root.querySelector("[data-live-announcer]");
  const source = new EventSource(root.dataset.live);

  const replace = (name) => (event) => {
    part(name).innerHTML = event.data;
    const said = part(name).querySelector("[data-said]")?.dataset.said;
    if (announcer && said && announcer.textContent !== said) announcer.textContent = said;
  };

  for (const name of ["list", "board"]) {
    if (part(name)) source.addEventListener(name, replace(name));
  }
  // Feeds: the whole of one, or the next line.
  for (const [line, whole] of [["kill", "kills"], ["chat", "chats"], ["achievement", "achievements"]]) {
    const lines = part(line);
    if (!lines) continue;
    source.addEventListener(whole, replace(line));
    source.addEventListener(line, (event) => {
      lines.insertAdjacentHTML("afterbegin", event.data);
      while (lines.children.length > Number(lines.dataset.liveMost)) lines.lastElementChild.remove();
    });
  }
  source.addEventListener("end", () => {
    source.close();
    setTimeout(() => location.assign(root.dataset.liveAfter), AFTER_THE_END_MS);
  });
}

document.querySelectorAll("[data-live]").forEach(follow);
