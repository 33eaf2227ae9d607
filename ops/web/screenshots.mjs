// Pictures of every page: phone and desktop, light and dark. Says which pages scroll sideways, and then ends with 1.
import { mkdir } from "node:fs/promises";
import puppeteer from "puppeteer-core";
import { world } from "./world.mjs";

const [base, token, login, folder] = process.argv.slice(2);
const SCREENS = { phone: { width: 360, height: 800, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }, desktop: { width: 1280, height: 900 } };

/// The browser draws no picture of more lines than that; the API's reference has more.
const MOST_PIXELS = 16_000;

const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
// Streams are open as long as the page is: what is waited for is the page itself.
const go = (path) => page.goto(base + path, { waitUntil: "load", timeout: 30_000 });
await mkdir(folder, { recursive: true });
const { everybody, signed_in } = await world(base, token);
const sideways = [];

async function take(pages) {
  for (const [name, path] of Object.entries(pages)) {
    for (const [screen, viewport] of Object.entries(SCREENS)) {
      await page.setViewport(viewport);
      for (const theme of ["light", "dark"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
        await go(path);
        await page.evaluate(() => document.fonts.ready);
        // A heatmap is drawn when somebody comes near it.
        for (const heatmap of await page.$$("[data-heatmap]")) await heatmap.scrollIntoView();
        await page.waitForFunction(() => !document.querySelector("[data-heatmap]:not([data-drawn])"), { timeout: 10_000 }).catch(() => {});
        await page.evaluate(() => scrollTo(0, 0));
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        const clip = { x: 0, y: 0, width: viewport.width, height: Math.min(height, MOST_PIXELS / (viewport.deviceScaleFactor ?? 1)) };
        await page.screenshot({ path: `${folder}/${name}-${screen}-${theme}.png`, clip, captureBeyondViewport: true });
      }
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) sideways.push(`${name} (${path}) on a ${screen}: ${over} pixels`);
    }
  }
}

await take(everybody);
await go(new URL(login).pathname);
await Promise.all([page.waitForNavigation(), page.click("main form button[type=submit]")]);
await take(signed_in);
await browser.close();
console.log(`${Object.keys({ ...everybody, ...signed_in }).length} pages in ${folder}`);
for (const line of sideways) console.error(`scrolls sideways: ${line}`);
process.exit(sideways.length ? 1 : 0);
