/** The built book in a real browser. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { preview } from "vite";
import { launch, watch } from "../chromium.mjs";

const docs = fileURLToPath(new URL("../../../docs/_build", import.meta.url));
const root = `${docs}/html`;
const pages = readdirSync(root, { recursive: true }).filter((file) =>
  /^(?!_static|playground).*\.html$/.test(file),
);
/** How a tab looks, and what axe looks for: colours once for each scheme, all else once a width. */
const LOOKS = {
  light: [{ colorScheme: "light" }, {}],
  dark: [{ colorScheme: "dark" }, { runOnly: ["color-contrast"] }],
  phone: [
    { viewport: { width: 390, height: 844 }, hasTouch: true },
    { rules: { "color-contrast": { enabled: false } } },
  ],
};
let server, browser, url;

before(async () => {
  server = await preview({ root: docs, build: { outDir: "html" }, preview: { port: 0 } });
  url = server.resolvedUrls.local[0];
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

describe("axe finds nothing, and nothing fails or comes from elsewhere", {
  concurrency: true,
}, () => {
  for (const [look, [options, sought]] of Object.entries(LOOKS))
    it(look, () => visit(options, sought));
});

async function visit(options, sought) {
  const tab = await browser.newPage(options);
  const wrong = [];
  let at = "";
  const say = (what) => wrong.push(`${at}: ${what}`);
  watch(tab, url, say);
  assert.ok(pages.length > 40);
  for (at of pages) {
    await tab.goto(url + at);
    await tab.evaluate(axe.source);
    // What is in a frame, the page that trains, has tests of its own.
    const run = (how) => axe.run(document, { iframes: false, resultTypes: ["violations"], ...how });
    const { violations } = await tab.evaluate(run, sought);
    for (const { id, nodes } of violations) say(`${id}: ${nodes[0].html}`);
  }
  assert.deepEqual(wrong, []);
}
