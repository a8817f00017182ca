/** What goes wrong is told, and the page goes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { reached, ready, says, text } from "./browser.mjs";

const DIVERGING = [
  "activation=tanh&lr=1",
  "activation=tanh&lr=10&layers=1",
  "activation=tanh&lr=2&layers=4&data=xor",
  "activation=relu&lr=5",
  "activation=relu&lr=10&batch=1",
  "activation=sigmoid&lr=5",
  "activation=sigmoid&lr=10&layers=1&data=spirals",
  "activation=leaky_relu&lr=10&data=moons",
  "activation=gelu&lr=5&layers=4&noise=0.1",
  "activation=gelu&lr=10&units=3",
];

test("what diverges says at which step, and reset goes on, at ten settings", async (t) => {
  const page = await ready(t);
  await page.fill("#speed", await page.getAttribute("#speed", "max"));
  for (const hash of DIVERGING) {
    await page.evaluate((to) => (location.hash = to), hash);
    await page.waitForFunction(
      ([activation, lr]) =>
        document.getElementById("activation").value === activation &&
        document.getElementById("lr-value").textContent === lr,
      ["activation", "lr"].map((name) => new URLSearchParams(hash).get(name)),
    );
    await reached(page, 0);
    await page.click("#play");
    await page.waitForFunction(() => {
      const [status, at] = ["status", "at"].map((id) => document.getElementById(id).textContent);
      return status === `Diverged at step ${at}; lower the learning rate and reset.`;
    });
    const [said, steps] = [await text(page, "status"), await text(page, "at")];
    assert.match(await text(page, "loss"), /^(∞|NaN)$/, hash);
    assert.equal(await text(page, "play"), "Play");
    await page.click("#step"); // doesn't
    await says(page, "status", said);
    assert.equal(await text(page, "at"), steps);
    await page.fill("#lr", "3");
    await page.click("#reset");
    await reached(page, 0);
    assert.equal(await text(page, "status"), "");
    await page.click("#epoch");
    await page.waitForFunction(() => Number(document.getElementById("at").textContent) >= 1);
    assert.ok(Number(await text(page, "loss")) < 2, hash);
  }
});

test("numbers that don't fit are shortened", async (t) => {
  const page = await ready(t, { hash: "#activation=tanh&lr=1&step=16" });
  await reached(page, 16);
  await page.focus("#graph");
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() =>
    document.getElementById("picked").textContent.includes("gradient"),
  );
  for (const id of ["loss", "loss-training", "loss-test", "picked"]) {
    for (const number of (await text(page, id)).match(/−?[\d.]+(e−?\d+)?/g) ?? []) {
      assert.ok(number.length < 10, `${id}: ${number}`);
    }
  }
  const [inner, outer] = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
  assert.ok(inner <= outer);
});

/** A page on which a file can't be loaded the first time. */
async function without(t, pattern, options) {
  let refused = 0;
  const prepare = (tab) =>
    tab.route(pattern, (route) =>
      refused++ ? route.continue() : route.fulfill({ status: 503, body: "" }),
    );
  return ready(t, { ...options, prepare, expected: /503/ });
}

test("a file that doesn't come is told, and comes the next time", async (t) => {
  for (const pattern of ["**/gelu-2-step.onnx", "**/gelu-2-forward.onnx"]) {
    const page = await without(t, pattern);
    await page.selectOption("#activation", "gelu");
    await page.selectOption("#layers", "2");
    if (pattern.includes("step")) await page.click("#step");
    await page.waitForFunction(() =>
      /gelu-2-.*status 503/.test(document.getElementById("status").textContent),
    );
    await page.click("#reset");
    await page.click("#epoch");
    await reached(page, 10);
    assert.equal(await text(page, "status"), "");
  }
});

test("a seed that doesn't come leaves what was there, and comes the next time", async (t) => {
  const page = await without(t, "**/seed-5.bin");
  await page.selectOption("#seed", "5");
  await page.waitForFunction(() => document.getElementById("status").textContent.includes("503"));
  assert.equal(await page.inputValue("#seed"), "0");
  await page.click("#step");
  await reached(page, 1);
  await page.selectOption("#seed", "5");
  await reached(page, 0);
  assert.equal(await page.inputValue("#seed"), "5");
});

test("a page that can't be drawn once is drawn the next time", async (t) => {
  const page = await ready(t);
  await page.evaluate(() => {
    const stroke = CanvasRenderingContext2D.prototype.stroke;
    CanvasRenderingContext2D.prototype.stroke = () => {
      CanvasRenderingContext2D.prototype.stroke = stroke;
      throw new Error("no ink");
    };
  });
  await page.click("#step");
  await says(page, "status", "It can’t go on: no ink.");
  await page.click("#epoch");
  await page.waitForFunction(() => Number(document.getElementById("at").textContent) >= 10);
  assert.equal(await text(page, "status"), "");
});
