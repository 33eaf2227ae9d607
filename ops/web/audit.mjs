// Lighthouse on the main pages, on its own idea of a phone. Prints a table; ends with 1 where a page misses what docs/web.md promises.
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";
import { world } from "./world.mjs";

const [base, token] = process.argv.slice(2);
const LEAST = { performance: 95, accessibility: 100, "best-practices": 100, seo: 100 };
const MOST_BYTES = 60 * 1024;
const MAIN = ["home", "live", "live-match", "leaderboard", "player", "match", "map", "tournament-bracket"];

const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const { everybody } = await world(base, token);
const missed = [];
console.log("| page | performance | accessibility | best practices | SEO | LCP | CLS | kB without fonts | kB of fonts |");
console.log("|---|---|---|---|---|---|---|---|---|");
for (const name of MAIN) {
  const page = await browser.newPage();
  const { lhr } = await lighthouse(base + everybody[name], { output: "json", logLevel: "error" }, undefined, page);
  await page.close();
  const score = (category) => Math.round((lhr.categories[category]?.score ?? 0) * 100);
  const requests = lhr.audits["network-requests"].details.items;
  const bytes = (isWanted) => requests.filter(isWanted).reduce((sum, request) => sum + (request.transferSize ?? 0), 0);
  const isFont = (request) => request.resourceType === "Font";
  const isStream = (request) => request.resourceType === "EventSource" || request.url.endsWith("/stream");
  const [fonts, rest] = [bytes(isFont), bytes((request) => !isFont(request) && !isStream(request))];
  const cls = lhr.audits["cumulative-layout-shift"].numericValue;
  const lcp = lhr.audits["largest-contentful-paint"].numericValue;
  const kb = (count) => (count / 1024).toFixed(1);
  console.log(`| ${name} | ${Object.keys(LEAST).map(score).join(" | ")} | ${(lcp / 1000).toFixed(2)} s | ${cls.toFixed(3)} | ${kb(rest)} | ${kb(fonts)} |`);
  for (const [category, least] of Object.entries(LEAST)) {
    if (score(category) >= least) continue;
    const why = lhr.categories[category].auditRefs.map(({ id }) => lhr.audits[id]).filter((audit) => audit.score !== null && audit.score < 1).map((audit) => audit.id);
    missed.push(`${name}: ${category} ${score(category)} (${why.join(", ")})`);
  }
  if (rest > MOST_BYTES) missed.push(`${name}: ${kb(rest)} kB`);
  if (cls > 0) missed.push(`${name}: moves by ${cls}`);
}
await browser.close();
for (const line of missed) console.error(`missed: ${line}`);
process.exit(missed.length ? 1 : 0);
