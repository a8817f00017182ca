/** Accessible to all, however the page is seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible } from "./accessible.mjs";
import { here, reached, ready } from "./browser.mjs";

const LOOKS = {
  light: {},
  dark: { colorScheme: "dark" },
  forced: { forcedColors: "active" },
  "forced-dark": { forcedColors: "active", colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true },
  embedded: { query: "?embed" },
};

for (const [look, options] of Object.entries(LOOKS)) {
  test(`${look}: accessible to all, and nothing sticks out`, async (t) => {
    const page = await ready(t, { hash: "#step=1500", ...options });
    await reached(page, 1500);
    await page.click("summary", { timeout: 1000 }).catch(() => undefined);
    await page.focus("#graph");
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) await page.keyboard.press(key);
    await page.waitForFunction(() => document.getElementById("picked").textContent !== "");
    await accessible(page);
    await page.screenshot({ path: here(`build/looks/${look}.png`), fullPage: true });
  });
}

test("legends keep their colours where colours are forced", async (t) => {
  const page = await ready(t, { forcedColors: "active", hash: "#step=0" });
  const colors = await page.$$eval(".dot, .key.ours, .key.theirs", (all) =>
    all.filter((key) => key.checkVisibility()).map((key) => getComputedStyle(key).backgroundColor),
  );
  assert.ok(colors.length >= 4);
  for (const color of colors) {
    assert.ok(!/rgba\(0, 0, 0, 0\)|rgb\(255, 255, 255\)/.test(color), `${colors}`);
  }
});
