/** The built book in a real browser. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { preview } from "vite";

const docs = fileURLToPath(new URL("../../../docs/_build", import.meta.url));
const root = `${docs}/html`;
const pages = readdirSync(root, { recursive: true }).filter((file) =>
  /^(?!_static|playground).*\.html$/.test(file),
);
const LOOKS = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true },
};
let server, browser, url;

before(async () => {
  server = await preview({ root: docs, build: { outDir: "html" }, preview: { port: 0 } });
  url = server.resolvedUrls.local[0];
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
});

after(async () => {
  await browser?.close();
  await server?.close();
});

for (const [look, options] of Object.entries(LOOKS)) {
  test(`${look}: axe finds nothing, and nothing fails or comes from elsewhere`, async () => {
    const tab = await browser.newPage(options);
    const wrong = [];
    let at = "";
    const say = (what) => wrong.push(`${at}: ${what}`);
    tab.on("pageerror", (error) => say(error.message));
    tab.on("console", (message) => message.type() === "error" && say(message.text()));
    tab.on("request", (request) => {
      const own = [url, "data:", "blob:"].some((start) => request.url().startsWith(start));
      if (!own) say(`loads ${request.url()}`);
    });
    for (at of pages) {
      await tab.goto(url + at);
      await tab.evaluate(axe.source);
      const { violations } = await tab.evaluate(() => axe.run());
      for (const { id, nodes } of violations) say(`${id}: ${nodes[0].html}`);
    }
    assert.ok(pages.length > 40);
    assert.deepEqual(wrong, []);
  });
}
