/** A step under the microscope, and the guided tour, in a real browser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { accessible } from "./accessible.mjs";
import { here, laboratory, ready, says, text } from "./browser.mjs";
import { load } from "./unit/load.mjs";

const { written } = await load("microscope/sums");
const { stagesOf } = await load("microscope/stages");
const { Step } = await load("microscope/step");
const { number } = await load("microscope/numbers");

const SMALL = "#activation=tanh&layers=1&units=3";

/** The page with the microscope open. */
async function opened(t, options = {}) {
  const page = await ready(t, { hash: SMALL, ...options });
  await page.click("#microscope-open");
  await page.waitForFunction(() => document.getElementById("microscope-stage").max > 1);
  return page;
}

const stage = (page) => page.$eval("#microscope-stage", (range) => Number(range.value));

const stageIs = (page, at) =>
  page.waitForFunction((n) => document.getElementById("microscope-stage").value === String(n), at);

const sums = (page) =>
  page.$$eval("#microscope-sums .sum", (all) =>
    all.map((sum) => ({
      title: sum.querySelector("h4").textContent.toLowerCase(),
      total: sum.querySelector(".total").textContent,
      line: [...sum.querySelectorAll("figcaption, code")].map((part) => part.textContent),
    })),
  );

const whichStarts = (page, words) =>
  page.waitForFunction(
    (start) => document.getElementById("microscope-which").textContent.startsWith(start),
    words,
  );

/** Picks what a key leads to from nothing, and waits for the picture of it. */
async function pick(page, ...keys) {
  await page.focus("#microscope-canvas");
  for (const key of ["Escape", "ArrowRight", ...keys]) await page.keyboard.press(key);
  for (let i = 0; i < 2; i++) await page.evaluate(() => new Promise(requestAnimationFrame));
}

/** What the page is to show of some samples, or of the batch: from its own modules and files. */
async function passesOf(t, hash, samples) {
  const page = await laboratory(t, "training", "link");
  const passes = await page.evaluate(
    async ([hash, samples]) => {
      const state = lab.fromHash(hash, lab.shipped);
      const training = new lab.Training(lab.shipped, state, await lab.loadSeed(lab.shipped, 0));
      const passes = [];
      for (const sample of samples) passes.push(await training.pass(sample));
      const plain = (_, value) => (ArrayBuffer.isView(value) ? { array: [...value] } : value);
      return JSON.stringify(passes, plain);
    },
    [hash, samples],
  );
  return JSON.parse(passes, (_, value) => (value?.array ? Float32Array.from(value.array) : value));
}

/** Where a hidden layer in the middle is: halfway between the inputs' names and the outputs'. */
const middle = (width) => (22 + width - 62) / 2;

test("the microscope on a network of three hidden units", async (t) => {
  const page = await opened(t);
  const last = 9;
  const [first, batch] = await passesOf(t, SMALL, [0, undefined]);

  for (const [name, option, pass] of [
    ["one sample", "0", first],
    ["the batch", "", batch],
  ]) {
    await t.test(`${name}: at each stage, each number is the step's own`, async () => {
      await page.selectOption("#microscope-sample", option);
      await page.waitForFunction(
        (words) => document.getElementById("microscope-which").textContent.includes(words),
        pass.samples > 1 ? "points of its batch" : "with the point",
      );
      const step = new Step(pass);
      const keys = [
        ["Escape", undefined],
        ["ArrowRight", { layer: 1, unit: 0 }],
        ["Shift+ArrowDown", { layer: 1, unit: 0, from: 0 }],
        ["ArrowRight", { layer: 2, unit: 0 }],
        ["Shift+ArrowDown", { layer: 2, unit: 0, from: 0 }],
      ];
      for (const [at, stage] of stagesOf(pass.sizes, pass.activation).entries()) {
        await page.fill("#microscope-stage", String(at));
        await page.focus("#microscope-canvas");
        for (const [key, picked] of keys) {
          await page.keyboard.press(key);
          const expected = picked ? written(step, stage, picked) : [];
          await page.waitForFunction(
            (titles) =>
              [...document.querySelectorAll("#microscope-sums h4")]
                .map((title) => title.textContent.toLowerCase())
                .join() === titles,
            expected.map(({ title }) => title.toLowerCase()).join(),
          );
          assert.deepEqual(
            (await sums(page)).map(({ title, total }) => ({ title, total })),
            expected.map(({ title, value }) => ({
              title: title.toLowerCase(),
              total: `= ${number(value)}`,
            })),
            stage.name,
          );
        }
        assert.equal(await text(page, "microscope-stage-name"), stage.name);
        const told = await page.getAttribute("#microscope-stage", "aria-valuetext");
        assert.equal(told, stage.name);
      }
    });
  }

  await t.test("beside a sum is the line of the library that computes it", async () => {
    const seen = new Set();
    for (const [at, keys, count] of [
      [1, [], 1],
      [2, [], 1],
      [4, ["ArrowRight"], 1],
      [5, ["ArrowRight"], 1],
      [6, ["ArrowRight", "Shift+ArrowDown"], 2],
      [7, [], 1],
      [8, [], 2],
      [9, [], 1],
    ]) {
      await page.fill("#microscope-stage", String(at));
      await pick(page, ...keys);
      await page.waitForFunction(
        (n) => document.querySelectorAll("#microscope-sums .sum").length === n,
        count,
      );
      for (const { title, line } of await sums(page)) {
        assert.ok(line.length, title);
        for (let i = 0; i < line.length; i += 2) {
          const [, file, number] = /^(.*), line (\d+)$/.exec(line[i]);
          const source = readFileSync(here(`../${file}`), "utf8").split("\n");
          assert.ok(source[number - 1].trim().startsWith(line[i + 1]), line[i + 1]);
          seen.add(line[i + 1]);
        }
      }
    }
    assert.ok(seen.size >= 8, [...seen].join("\n"));
  });

  await t.test("stages are scrubbed through by pointer, by keys and by buttons", async () => {
    const { x, y, width, height } = await page.locator("#microscope-stage").boundingBox();
    await page.mouse.move(x + 8, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width / 2, y + height / 2, { steps: 5 });
    await stageIs(page, Math.round(last / 2));
    await page.mouse.up();
    await page.focus("#microscope-stage");
    await page.keyboard.press("Home");
    await says(page, "microscope-stage-name", "Inputs");
    await page.keyboard.press("ArrowRight");
    await says(page, "microscope-stage-name", "Forward: hidden layer, linear");
    await page.click("#microscope-next");
    await says(page, "microscope-stage-name", "Forward: hidden layer, tanh");
    await page.click("#microscope-back");
    await says(page, "microscope-stage-name", "Forward: hidden layer, linear");
    await page.click("#microscope-back");
    await says(page, "microscope-stage-name", "Inputs");
    await page.click("#microscope-back");
    assert.equal(await stage(page), 0);
  });

  await t.test("with reduced motion nothing moves between stages", async () => {
    const pixels = () => page.$eval("#microscope-canvas", (canvas) => canvas.toDataURL());
    await page.click("#microscope-next");
    await stageIs(page, 1);
    const first = await pixels();
    await page.waitForTimeout(300);
    assert.equal(await pixels(), first);
  });

  await t.test("a click picks a unit, and one elsewhere nothing", async () => {
    const { width, height } = await page.locator("#microscope-canvas").boundingBox();
    const click = (x, y) => page.click("#microscope-canvas", { position: { x, y } });
    await page.fill("#microscope-stage", String(last));
    await click(middle(width), height / 2);
    await page.waitForFunction(
      () => document.querySelector("#microscope-sums h4")?.textContent === "The bias of unit 2",
    );
    await click(width - 5, 5);
    await page.waitForFunction(() => !document.querySelector("#microscope-sums .sum"));
  });

  await t.test("a screen reader is told the stage and the number, once they stay", async () => {
    await page.fill("#microscope-stage", "1");
    await pick(page);
    await page.waitForFunction(() =>
      /^Forward: hidden layer, linear\. unit 1: its sum z.*: −?\d/.test(
        document.getElementById("microscope-live").textContent,
      ),
    );
  });

  await t.test("what is taken apart is the step that comes next", async () => {
    await whichStarts(page, "Step 1,");
    await page.click("#microscope-advance");
    await whichStarts(page, "Step 2,");
    await page.click("#reset");
    await whichStarts(page, "Step 1,");
  });

  await t.test("without points there is nothing to show, until there are some", async () => {
    await page.click("#clear");
    await whichStarts(page, "There is no step to show: there are no points");
    assert.ok(await page.isHidden("#microscope-canvas"));
    await page.click("#restore");
    await page.waitForSelector("#microscope-canvas", { state: "visible" });
  });

  await t.test("another network is shown in its place", async () => {
    await page.fill("#microscope-stage", String(last));
    await pick(page, "ArrowDown", "ArrowDown");
    await page.waitForSelector("#microscope-sums .sum");
    await page.evaluate(() => (location.hash = "#activation=relu&layers=3&units=4"));
    await page.waitForFunction(() => document.getElementById("microscope-stage").max === "17");
    assert.equal((await sums(page)).length, 1);
    await page.evaluate(() => (location.hash = "#activation=relu&layers=1&units=2")); // has no third
    await page.waitForFunction(() => document.getElementById("microscope-stage").max === "9");
    await page.waitForFunction(() => !document.querySelector("#microscope-sums .sum"));
  });
});

test("it plays, pauses and goes on, at 60 frames a second", async (t) => {
  const page = await opened(t, { hash: "", reducedMotion: "no-preference" });

  await t.test("by buttons and by space, to the end", async () => {
    await page.click("#microscope-play");
    await stageIs(page, 2);
    assert.equal(await text(page, "microscope-play"), "Pause");
    await page.click("#microscope-play");
    await says(page, "microscope-play", "Play");
    const at = await stage(page);
    await page.waitForTimeout(300);
    assert.equal(await stage(page), at);
    await page.focus("#microscope-canvas");
    await page.keyboard.press(" ");
    await says(page, "microscope-play", "Pause");
    assert.equal(await text(page, "play"), "Play"); // not the training
    await page.focus("#microscope-stage");
    await page.keyboard.press("End");
    await says(page, "microscope-stage-name", "Update");
    await says(page, "microscope-play", "Play");
  });

  await t.test("frame by frame, with the report's network", async (t) => {
    await pick(page);
    await page.click("#microscope-play");
    const times = await page.evaluate(async () => {
      const frames = [];
      const end = performance.now() + 4000;
      while (performance.now() < end) frames.push(await new Promise(requestAnimationFrame));
      return frames.slice(1).map((time, i) => time - frames[i]);
    });
    assert.equal(await text(page, "microscope-play"), "Pause");
    times.sort((a, b) => a - b);
    const median = times[times.length >> 1];
    const slow = times.filter((time) => time > 34).length;
    t.diagnostic(`median frame ${median.toFixed(1)} ms; ${slow} of ${times.length} above 34 ms`);
    assert.ok(median < 50, `${median} ms`); // 16.7, but for a machine that does other things too
  });
});

test("the tour goes to its end and back by keyboard, in eight stops, and says what is on the screen", async (t) => {
  const page = await ready(t);
  await page.focus("#microscope-tour");
  await page.keyboard.press("Enter");
  const titles = [];
  const stages = [];
  for (let stop = 1; stop <= 8; stop++) {
    await says(page, "tour-count", `${stop} of 8`);
    titles.push(await text(page, "tour-title"));
    await page.waitForTimeout(50); // a frame
    stages.push(await text(page, "microscope-stage-name"));
    const words = await text(page, "tour-text");
    assert.ok(!/NaN|undefined|null/.test(words), words);
    if (stop === 6) {
      const [back] = await sums(page);
      assert.match(back.title, /^what flows back along the edge/);
      assert.ok(words.includes(`${back.total} times as much`), `${back.total}: ${words}`);
    }
    if (stop < 8) await page.keyboard.press("Enter");
  }
  assert.equal(new Set(titles).size, 8);
  assert.deepEqual(stages, [
    "Inputs",
    "Forward: hidden layer, linear",
    "Forward: hidden layer, tanh",
    "Loss",
    "Backward: loss",
    "Backward: outputs, linear",
    "Backward: hidden layer, linear",
    "Update",
  ]);
  await page.keyboard.press("ArrowLeft");
  await says(page, "tour-count", "7 of 8");
  await page.keyboard.press("ArrowRight");
  await says(page, "tour-count", "8 of 8");
  await page.keyboard.press("Enter"); // done
  assert.ok(await page.isHidden("#tour"));
  assert.equal(await page.evaluate(() => document.activeElement.id), "microscope-tour");
  await page.keyboard.press("Enter");
  await says(page, "tour-count", "1 of 8");
  await page.keyboard.press("Escape");
  assert.ok(await page.isHidden("#tour"));
});

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true };

test("on a phone, a tap shows its numbers on the screen, and the tour beside the picture", async (t) => {
  const page = await opened(t, PHONE);
  await page.fill("#microscope-stage", "9");
  await page.$eval("#microscope-canvas", (canvas) => canvas.scrollIntoView({ block: "center" }));
  const { x, y, width, height } = await page.locator("#microscope-canvas").boundingBox();
  await page.touchscreen.tap(x + middle(width), y + height / 2 - 14);
  await page.waitForSelector("#microscope-sums .sum");
  const box = await page.locator("#microscope-sums .total").first().boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height <= 844, `${box.y}`);

  await page.tap("#microscope-tour");
  await says(page, "tour-count", "1 of 8");
  for (let stop = 1; stop <= 8; stop++) {
    await says(page, "tour-count", `${stop} of 8`);
    const [picture, words] = await Promise.all(
      ["#microscope-canvas", "#tour"].map((id) => page.locator(id).boundingBox()),
    );
    assert.ok(
      words.y + words.height <= 844 + 1,
      `stop ${stop}: words end at ${words.y + words.height}`,
    );
    const seen = Math.min(picture.y + picture.height, words.y) - Math.max(picture.y, 0);
    assert.ok(seen > 0.9 * picture.height, `stop ${stop}: ${seen} of ${picture.height}`);
    if (stop === 6) {
      await accessible(page);
      await page.screenshot({ path: here("artefacts/tour-phone.png") });
    }
    await page.tap("#tour-next");
  }
});

const LOOKS = {
  light: {},
  dark: { colorScheme: "dark" },
  forced: { forcedColors: "active" },
  "forced-dark": { forcedColors: "active", colorScheme: "dark" },
};
test("microscope and tour are accessible to all in all looks, and nothing sticks out", async (t) => {
  const page = await opened(t, { hash: "" });
  const shot = (name) =>
    page.locator("#microscope").screenshot({ path: here(`artefacts/microscope-${name}.png`) });
  await pick(page, "ArrowRight");
  for (let at = 0; at < 18; at++) {
    await page.fill("#microscope-stage", String(at));
    await stageIs(page, at);
    await shot(`stage-${at}`);
  }
  await page.click("#microscope-tour");
  for (let stop = 1; stop < 6; stop++) {
    await says(page, "tour-count", `${stop} of 8`);
    await page.keyboard.press("Enter");
  }
  await page.waitForSelector("#microscope-sums .sum");
  for (const [look, media] of Object.entries(LOOKS)) {
    await page.emulateMedia({ colorScheme: "light", forcedColors: "none", ...media });
    await page.waitForTimeout(200); // it has been drawn anew
    assert.ok((await page.evaluate(inTextColour)) > 800, look); // the wide line alone has more
    await accessible(page);
    await shot(look);
  }
});

/** How much of the picture, its lines and numbers, is in the colour that text has now. */
function inTextColour() {
  const canvas = document.getElementById("microscope-canvas");
  const wanted = getComputedStyle(document.body).color.match(/\d+/g).map(Number);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 255 && wanted.every((v, c) => Math.abs(v - data[i + c]) < 4)) found++;
  }
  return found;
}
