/** Chromium, and in it the built page, or the page's modules. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { build, preview } from "vite";
import { launch, watch } from "./chromium.mjs";

export const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
export const shipped = JSON.parse(readFileSync(here("public/page.json")));

let server, modules, browser;
const urlOf = (of) => of.resolvedUrls.local[0];

before(async () => {
  server = await preview({ root: here("."), preview: { port: 0 } });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await modules?.close();
});

/** A new tab. What it reports as an error, but for what is expected, or loads from elsewhere, fails
 * the test. */
async function tab(t, url, { expected = /^$/, ...options } = {}) {
  const page = await browser.newPage({
    viewport: { width: 1280, height: 900 },
    reducedMotion: "reduce",
    ...options,
  });
  const wrong = [];
  watch(page, url, (what) => wrong.push(what));
  t.after(async () => {
    await page.close();
    assert.deepEqual(
      wrong.filter((message) => !expected.test(message)),
      [],
    );
  });
  return page;
}

/** The page; prepare does what is to be done before it loads. */
export async function open(t, { hash = "", query = "", prepare, ...options } = {}) {
  const page = await tab(t, urlOf(server), options);
  await prepare?.(page);
  await page.goto(urlOf(server) + query + hash);
  return page;
}

/** The page, with the runtime and what the network makes of the points. */
export async function ready(t, options) {
  const page = await open(t, options);
  await page.waitForFunction(() =>
    document.getElementById("wrong-test").textContent.includes("of"),
  );
  return page;
}

/** A page with nothing but the modules and the runtime, as window.lab. */
export async function laboratory(t) {
  const outDir = "build/laboratory";
  if (!modules) {
    const rollupOptions = {
      input: here("tests/laboratory.ts"),
      output: { entryFileNames: "laboratory.js" },
      preserveEntrySignatures: "strict",
    };
    await build({ root: here("."), logLevel: "warn", build: { outDir, rollupOptions } });
    modules = await preview({ root: here("."), build: { outDir }, preview: { port: 0 } });
  }
  const url = urlOf(modules);
  const page = await tab(t, url);
  const blank = { contentType: "text/html", body: "<!doctype html><title>Laboratory</title>" };
  await page.route(`${url}blank`, (route) => route.fulfill(blank));
  await page.goto(`${url}blank`);
  await page.evaluate(async () => {
    window.lab = { ...(await import("/laboratory.js")) };
    lab.shipped = await lab.loadPage();
    await lab.load();
  });
  return page;
}

/** Waits until the page shows a text there. */
export const says = (page, id, what) =>
  page.waitForFunction(
    ([where, expected]) => document.getElementById(where).textContent === expected,
    [id, what],
  );

export const text = (page, id) => page.textContent(`#${id}`);

/** Waits until the page has done, and shown, so many steps. */
export const reached = (page, steps) => says(page, "at", steps.toLocaleString("en"));
