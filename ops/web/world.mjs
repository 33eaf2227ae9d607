// A demo with everything on its pages: waits for matches, makes a cup with results and a dispute, and names the pages there are.
const SOON_MS = 500;
const PATIENCE_MS = 120_000;

/// Calls the API as the admin; the answer's JSON.
function caller(base, token) {
  return async (method, path, body) => {
    const answer = await fetch(base + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  };
}

/// What `ask` gives, once it gives something.
async function eventually(what, ask) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask().catch(() => null);
    if (found) return found;
    if (Date.now() > end) throw new Error(`it never came about that ${what}`);
    await new Promise((done) => setTimeout(done, SOON_MS));
  }
}

/// 31 characters of wide glyphs, colours and ordinary names: what pages have to bear.
const NAMES = ["^1W^2W^3WWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "Pvt. Ryan", "^4Blue^1Baron", "Kowalski", "=[DDay]=Sgt.Rock", "Ōtō", "medic", "Zoë"];

async function cup(call) {
  const made = await call("POST", "/api/v1/tournaments", {
    name: "Winter Cup", format: "double_elimination", best_of: 3, map_pool: ["dm/mohdm1", "dm/mohdm2", "obj/obj_team2"],
    description: "Be on time. Captains report; a referee decides what they can't agree on.",
  });
  const path = `/api/v1/tournaments/${made.id}`;
  await call("POST", `${path}/status`, { status: "registration_open" });
  for (const name of NAMES) await call("POST", `${path}/register`, { name });
  await call("POST", `${path}/status`, { status: "registration_closed" });
  await call("POST", `${path}/status`, { status: "in_progress" });
  await call("POST", `${path}/matches/W1.1/report`, { score1: 2, score2: 1 });
  await call("POST", `${path}/matches/W1.2/report`, { score1: 0, score2: 2 });
  await call("POST", `${path}/matches/W1.3/report`, { forfeit: 2 });
  await call("POST", `${path}/matches/W1.3/dispute`, { reason: "We were there, the server was not." });
  return made.id;
}

/// Every page by name, as paths; those of `signed_in` are for the admin.
export async function world(base, token) {
  const call = caller(base, token);
  const live = await eventually("matches are live", async () => {
    const { matches } = await call("GET", "/api/v1/stats/live");
    return matches.length > 1 && matches;
  });
  const past = await eventually("a match is over", async () => {
    const { matches } = await call("GET", "/api/v1/stats/matches?limit=100");
    return matches.find((match) => match.ended_at);
  });
  const player = await eventually("somebody leads", async () => (await call("GET", "/api/v1/stats/leaderboard")).players?.[0]);
  const map = (await call("GET", "/api/v1/stats/maps")).maps[0];
  const weapon = (await call("GET", "/api/v1/stats/weapons")).weapons[0];
  const server = (await call("GET", "/api/v1/servers")).servers[0];
  const id = await cup(call);
  const tournament = `/tournaments/${id}`;
  const player_page = `/players/${encodeURIComponent(player.player_id)}`;
  return {
    everybody: {
      home: "/",
      live: "/live",
      "live-match": `/live/${live[0].match_id}`,
      leaderboard: "/leaderboard",
      player: player_page,
      "player-maps": `${player_page}/maps`,
      "player-matches": `${player_page}/matches`,
      "player-rivals": `${player_page}/rivals`,
      matches: "/matches",
      match: `/matches/${past.match_id}`,
      maps: "/maps",
      map: `/maps/${map.map_name}`,
      weapons: "/weapons",
      weapon: `/weapons/${weapon.slug}`,
      servers: "/servers",
      server: `/servers/${server.server_id}`,
      achievements: "/achievements",
      tournaments: "/tournaments",
      tournament,
      "tournament-entrants": `${tournament}/participants`,
      "tournament-bracket": `${tournament}/bracket`,
      "tournament-standings": `${tournament}/standings`,
      "tournament-schedule": `${tournament}/schedule`,
      "tournament-match": `${tournament}/matches/W1.3`,
      embed: `/embed${tournament}`,
      overlay: `/embed${tournament}/overlay`,
      search: "/search?q=a",
      login: "/login",
      "not-found": "/nowhere",
      docs: "/api/docs",
    },
    signed_in: {
      account: "/account",
      device: "/device",
      "tournament-new": "/tournaments/new",
      "tournament-admin": `${tournament}/admin`,
      "tournament-settings": `${tournament}/admin/settings`,
      "tournament-log": `${tournament}/admin/audit`,
      "tournament-correct": `${tournament}/matches/W1.1/correct?score1=1&score2=2`,
      admin: "/admin",
      "admin-servers": "/admin/servers",
      "admin-users": "/admin/users",
      "admin-players": "/admin/players",
      "admin-maps": "/admin/maps",
      "admin-audit": "/admin/audit",
      ops: "/ops",
      "ops-runbook": "/ops/runbook",
    },
  };
}
