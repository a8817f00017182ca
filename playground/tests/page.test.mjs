/** The built page in a real browser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { preview } from "vite";

const FLAGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync";
const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const shipped = JSON.parse(readFileSync(here("public/page.json")));
let server, browser, url;

before(async () => {
  server = await preview({ root: here("."), preview: { port: 0 } });
  url = server.resolvedUrls.local[0];
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: FLAGS.split(" ") });
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** The page, opened. Whatever it reports as an error, or loads from elsewhere, fails the test. */
async function open(t, { hash = "", ...options } = {}) {
  const page = await browser.newPage({
    viewport: { width: 1280, height: 900 },
    reducedMotion: "reduce",
    ...options,
  });
  const wrong = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (request) => {
    const own = [url, "data:", "blob:"].some((start) => request.url().startsWith(start));
    if (!own) wrong.push(`loads ${request.url()}`);
  });
  t.after(async () => {
    await page.close();
    assert.deepEqual(wrong, []);
  });
  await page.goto(url + hash);
  return page;
}

async function ready(t, options) {
  const page = await open(t, options);
  await page.waitForSelector("#play:enabled");
  return page;
}

const reached = (page, steps) => page.waitForFunction((n) => window.training?.steps === n, steps);
const losses = (page) => page.evaluate(() => [...training.losses]);
const text = (page, id) => page.textContent(`#${id}`);

async function goTo(page, hash) {
  await page.evaluate((to) => (location.hash = to), hash);
  const query = new URLSearchParams(hash);
  await page.waitForFunction(
    ([network, seed, step]) =>
      training.network === network && training.seed === seed && training.steps === step,
    [query.get("network"), Number(query.get("seed")), Number(query.get("step"))],
  );
}

/** PyTorch's losses, from the file that the page loads. */
function theirs(network, seed) {
  const all = readFileSync(here(`public/seed-${seed}.bin`));
  let from = 0;
  for (const [name, shape] of Object.entries(shipped.arrays)) {
    const size = shape.reduce((a, b) => a * b);
    if (name === `${network}.losses`) {
      return Array.from({ length: size }, (_, i) => all.readFloatLE(4 * (from + i)));
    }
    from += size;
  }
}

/** The largest relative difference. */
function apart(a, b) {
  assert.equal(a.length, b.length);
  return Math.max(...a.map((v, i) => Math.abs(v / b[i] - 1)));
}

/** How near a unit's input is to 0, where ReLU has its kink, in the step that comes next. */
function nearestToKink(page) {
  return page.evaluate(
    ({ batch, layers }) => {
      const from = batch * (training.steps % training.stepsPerEpoch);
      let nearest = Infinity;
      for (const { x, y } of training.points.slice(from, from + batch)) {
        let row = [x, y];
        for (const layer of layers) {
          const [weight, bias] = ["weight", "bias"].map((leaf) =>
            training.param(`${layer}.${leaf}`),
          );
          row = [...bias].map((b, unit) =>
            row.reduce((sum, v, i) => sum + v * weight[unit * row.length + i], b),
          );
          nearest = Math.min(nearest, ...row.map(Math.abs));
          row = row.map((v) => Math.max(v, 0));
        }
      }
      return nearest;
    },
    { batch: shipped.batch, layers: [0, 2, 4] },
  );
}

test("20 epochs of both networks give PyTorch's losses, from every seed", async (t) => {
  const page = await ready(t);
  let most = 0;
  for (const network of shipped.networks) {
    for (let seed = 0; seed < shipped.seeds; seed++) {
      const where = `network=${network}&seed=${seed}`;
      await goTo(page, `${where}&step=200`);
      const ours = await losses(page);
      const expected = theirs(network, seed);
      const off = ours.map((loss, i) => Math.abs(loss / expected[i] - 1));
      const same = off.findIndex((o) => !(o < 1e-6));
      most = Math.max(most, ...off.slice(0, same < 0 ? 200 : same));
      if (same < 0) continue;
      // Only where rounding decides whether a unit is on may the two part.
      assert.equal(network, "ReLU");
      await goTo(page, `${where}&step=${same - 1}`);
      const nearest = await nearestToKink(page);
      assert.ok(nearest < 1e-7, `${where}: ${off[same]} at step ${same}`);
      t.diagnostic(
        `${where}: they part at step ${same}, a unit's input being ${nearest.toExponential(1)}`,
      );
    }
  }
  t.diagnostic(`largest relative difference: ${most.toExponential(1)}`);
});

for (const network of shipped.networks) {
  test(`500 epochs of ${network} tell the points apart`, async (t) => {
    const page = await ready(t);
    const { seconds, frames } = await page.evaluate(async (hash) => {
      const frames = [];
      const start = performance.now();
      location.hash = hash;
      while (training.steps < 5000) frames.push(await new Promise(requestAnimationFrame));
      return { seconds: (performance.now() - start) / 1000, frames };
    }, `network=${network}&step=5000`);
    await page.waitForFunction(() => document.getElementById("at").textContent === "5,000");
    const times = frames.slice(1).map((time, i) => time - frames[i]);
    const median = times.sort((a, b) => a - b)[times.length >> 1];
    t.diagnostic(`${seconds.toFixed(2)} s, median frame ${median.toFixed(1)} ms`);
    for (const kind of ["training", "test"]) {
      const [wrong, all] = (await text(page, `wrong-${kind}`)).replaceAll(",", "").split(" of ");
      assert.ok(Number(wrong) < 0.06 * Number(all), `${kind}: ${wrong} of ${all}`);
    }
    // ReLU is chaotic: scripts/onnx_train.py draws how.
    const last = (await losses(page)).slice(4999);
    if (network === "Tanh") assert.ok(apart(last, theirs(network, 0).slice(4999)) < 1e-4);
  });
}

test("space plays and pauses", async (t) => {
  const page = await ready(t);
  await page.keyboard.press(" ");
  await page.waitForFunction(() => training.steps > 5);
  assert.equal(await text(page, "play"), "Pause");
  await page.keyboard.press(" ");
  assert.equal(await text(page, "play"), "Play");
  await page.waitForTimeout(100); // a step may have been on its way
  const steps = (await losses(page)).length;
  await page.waitForTimeout(200);
  assert.equal((await losses(page)).length, steps);
});

test("keys and buttons step, go on by an epoch and reset", async (t) => {
  const page = await ready(t);
  const start = await page.evaluate(() => [...training.param("2.weight")]);
  await page.keyboard.press("s");
  await reached(page, 1);
  await page.keyboard.press("e");
  await reached(page, 11);
  await page.click("#step");
  await reached(page, 12);
  await page.click("#epoch");
  await reached(page, 22);
  await page.waitForFunction(() => document.getElementById("at").textContent === "22");
  assert.equal(await text(page, "at-epoch"), "2");
  assert.ok(apart(await losses(page), theirs("ReLU", 0).slice(0, 22)) < 1e-6);
  await page.keyboard.press("r");
  await reached(page, 0);
  assert.deepEqual(await page.evaluate(() => [...training.param("2.weight")]), start);
});

test("the controls choose network and seed", async (t) => {
  const page = await ready(t);
  await page.selectOption("#network", "Tanh");
  await page.selectOption("#seed", "3");
  await page.waitForFunction(() => training.network === "Tanh" && training.seed === 3);
  await page.click("#epoch");
  await reached(page, 10);
  assert.ok(apart(await losses(page), theirs("Tanh", 3).slice(0, 10)) < 1e-6);
  assert.ok((await text(page, "layers")).includes("tanh"));
});

test("the learning rate is that of the steps from then on, and leaves the gradient alone", async (t) => {
  const page = await ready(t);
  const gradients = [];
  const firsts = [];
  for (const [rate, index] of [
    [0.1, "6"],
    [0.5, "8"],
  ]) {
    await page.fill("#lr", index);
    await page.waitForFunction((lr) => training.lr === lr, rate);
    await page.click("#step");
    await reached(page, 1);
    gradients.push(await page.evaluate(() => training.gradient("6.weight", 7)));
    firsts.push((await losses(page))[0]);
    await page.click("#step");
    await reached(page, 2);
    await page.click("#reset");
    await reached(page, 0);
  }
  assert.equal(firsts[0], firsts[1]);
  assert.ok(apart([gradients[0]], [gradients[1]]) < 1e-4, `${gradients}`);
  assert.equal(await text(page, "lr-value"), "0.5");
  await page.click("#epoch");
  await reached(page, 10);
  await page.waitForFunction(() => document.getElementById("at").textContent === "10");
  assert.equal(await text(page, "difference"), "–"); // PyTorch's rate was another
});

test("own points by mouse and by keyboard are what it trains on", async (t) => {
  const page = await ready(t);
  await page.click("#clear");
  await page.click("#play");
  await page.waitForFunction(() =>
    document.getElementById("status").textContent.includes("no points"),
  );
  assert.equal(await text(page, "play"), "Play");
  const { width } = await page.locator("#square").boundingBox();
  await page.click("#square", { position: { x: 0.25 * width, y: 0.25 * width } });
  await page.check("[name=class][value='0']");
  await page.focus("#square");
  for (const key of ["ArrowRight", "ArrowDown", "Enter"]) await page.keyboard.press(key);
  const [clicked, typed] = await page.evaluate(() => training.points);
  assert.ok(
    Math.abs(clicked.x - 0.25) < 0.01 && Math.abs(clicked.y - 0.75) < 0.01 && clicked.class === 1,
  );
  assert.deepEqual(typed, { x: 0.525, y: 0.475, class: 0 });
  await page.fill("#speed", await page.getAttribute("#speed", "max"));
  await page.keyboard.press(" ");
  await page.waitForFunction(() => training.losses.at(-1) < 0.01);
  await page.keyboard.press(" ");
  await page.waitForFunction(
    () => document.getElementById("wrong-training").textContent === "0 of 2",
  );
  await page.click("#restore");
  assert.equal(await page.evaluate(() => training.points.length), 1000);
});

test("a link leads to the very same state, whatever was done before", async (t) => {
  const page = await ready(t, { hash: "#network=Tanh&seed=4&step=7" });
  await reached(page, 7);
  await page.fill("#lr", "8");
  await page.click("#square", { position: { x: 33, y: 44 } });
  await page.click("#epoch");
  await reached(page, 18); // 1001 points are 11 batches
  await page.click("#clear");
  await page.click("#square", { position: { x: 99, y: 55 } });
  await page.click("#epoch");
  await reached(page, 19);
  await page.click("#link");
  const other = await open(t, { hash: new URL(page.url()).hash });
  await reached(other, 19);
  const state = () => [
    training.losses,
    training.points,
    training.lr,
    [...training.param("4.weight")],
  ];
  assert.deepEqual(await other.evaluate(state), await page.evaluate(state));
  assert.equal(await other.inputValue("#lr"), "8");
  assert.equal(await other.inputValue("#seed"), "4");
});

test("a link that makes no sense is refused in words", async (t) => {
  const page = await ready(t, { hash: "#seed=77" });
  assert.equal(await text(page, "status"), "The link’s seed can’t be 77.");
  for (const part of ["network=GELU", "lr=-1", "step=1.5", "then=5,lr,0.1", "then=0,add,1"]) {
    await page.evaluate((to) => (location.hash = to), part);
    const expected = `The link’s ${part.replace("=", " can’t be ")}.`;
    await page.waitForFunction(
      (say) => document.getElementById("status").textContent === say,
      expected,
    );
  }
});

test("a unit shows what it gives, a weight its value and gradient", async (t) => {
  const page = await ready(t, { hash: "#step=20" });
  await reached(page, 20);
  const pixels = () => page.evaluate(() => document.getElementById("square").toDataURL());
  const surface = await pixels();
  const { width, height } = await page.locator("#graph").boundingBox();
  await page.hover("#graph", { position: { x: width / 2, y: (height * 4.5) / 25 } });
  await page.waitForFunction(() =>
    document.getElementById("picked").textContent.startsWith("2.bias[4] = "),
  );
  assert.notEqual(await pixels(), surface);
  await page.mouse.move(1, 1);
  await page.waitForFunction(() => document.getElementById("picked").textContent === "");
  assert.equal(await pixels(), surface);

  await page.focus("#graph");
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) await page.keyboard.press(key);
  for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+ArrowDown");
  const [value, gradient] = await page.evaluate(() => [
    training.param("2.weight")[25 + 2],
    training.gradient("2.weight", 25 + 2),
  ]);
  const said = `2.weight[1, 2] = ${value.toFixed(4)}, gradient ${gradient.toExponential(2)}`;
  await page.waitForFunction((s) => document.getElementById("picked").textContent === s, said);
});

test("the square shows the output for inside where it is large", async (t) => {
  const page = await ready(t, { hash: "#step=1500" });
  await reached(page, 1500);
  await page.click("#clear"); // so that no point hides the surface
  const { width, height } = await page.locator("#graph").boundingBox();
  await page.hover("#graph", { position: { x: width - 12, y: (height * 1.5) / 2 } });
  await page.waitForFunction(() =>
    document.getElementById("picked").textContent.startsWith("6.bias[1] = "),
  );
  const [centre, corner] = await page.$eval("#square", (canvas) =>
    [0.5, 0.05].map((share) => {
      const at = share * canvas.width;
      return [...canvas.getContext("2d").getImageData(at, at, 1, 1).data];
    }),
  );
  const [red, , blue, opacity] = centre;
  assert.ok(blue > red && opacity > 2 * corner[3], `${centre}; ${corner}`);
});

test("formulas are mathematics, and lines are those of the library", async (t) => {
  const page = await ready(t);
  for (const network of shipped.networks) {
    await page.selectOption("#network", network);
    await page.waitForFunction((n) => training.network === n, network);
    const cards = await page.$$eval("#layers article", (articles) =>
      articles.map((card) => ({
        file: card.querySelector(".help").textContent,
        formulas: card.querySelectorAll("math").length,
        lines: [...card.querySelectorAll("code")].map((c) => [c.dataset.line, c.textContent]),
      })),
    );
    assert.equal(cards.length, 4);
    for (const { file, formulas, lines } of cards) {
      assert.ok(formulas && lines.length, file);
      const source = readFileSync(here(`../${file}`), "utf8").split("\n");
      for (const [number, line] of lines) assert.equal(source[number - 1].trim(), line);
    }
  }
});

test("points are there before the runtime is, and a bar shows its download", async (t) => {
  const page = await browser.newPage();
  t.after(() => page.close());
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await page.route("**/*.wasm", async (route) => {
    await released;
    await route.continue();
  });
  await page.goto(url);
  await page.waitForFunction(
    () => window.training && document.getElementById("square").width > 300,
  );
  const paints = await page.evaluate(
    () => performance.getEntriesByName("first-contentful-paint").length,
  );
  assert.equal(paints, 1);
  assert.ok(await page.isVisible("#progress"));
  assert.ok(await page.isDisabled("#play"));
  release();
  await page.waitForSelector("#play:enabled");
  assert.ok(await page.isHidden("#progress"));
  assert.equal(await page.$eval("#progress", (bar) => bar.value), 1);
});

test("it plays by itself, but not where motion is to be reduced, nor from a link", async (t) => {
  const moving = await ready(t, { reducedMotion: "no-preference" });
  await moving.waitForFunction(() => training.steps > 0);
  for (const options of [{}, { reducedMotion: "no-preference", hash: "#seed=0" }]) {
    const still = await ready(t, options);
    await still.waitForTimeout(200);
    assert.equal(await still.evaluate(() => training.steps), 0);
  }
});

test("without WebAssembly a message says so", async (t) => {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.addInitScript(() => delete window.WebAssembly);
  await page.goto(url);
  await page.waitForFunction(() =>
    document.getElementById("status").textContent.includes("no WebAssembly"),
  );
  assert.ok(await page.isHidden("#progress"));
});

const LOOKS = {
  light: {},
  dark: { colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
};
for (const [look, options] of Object.entries(LOOKS)) {
  test(`${look}: accessible to all, and nothing sticks out`, async (t) => {
    const page = await ready(t, { hash: "#step=1500", ...options });
    await reached(page, 1500);
    await page.waitForFunction(() => document.getElementById("at").textContent === "1,500");
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => axe.run());
    assert.deepEqual(
      violations.map(({ id, nodes }) => [id, nodes.map((n) => n.html)]),
      [],
    );
    const [inner, outer] = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
    assert.ok(inner <= outer, `${inner} > ${outer}`);
    await page.screenshot({ path: here(`artefacts/${look}.png`), fullPage: true });
  });
}
