/** The built page in a real browser: what a visitor does, and what comes of it. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { here, open, reached, ready, says, shipped, text } from "./browser.mjs";

const figure = async (page, id) => Number((await text(page, id)).replaceAll("−", "-"));
const value = (page, id) => page.inputValue(`#${id}`);
const pixels = (page, id = "square") =>
  page.evaluate((which) => document.getElementById(which).toDataURL(), id);

/** The largest relative difference from PyTorch's losses so far. */
const difference = async (page) =>
  Number((await text(page, "difference")).split(" ")[0].replace("−", "-"));

/** Goes to a link's state, at another step than the present one: else nothing says that it is there. */
async function goTo(page, hash, steps) {
  assert.notEqual(await text(page, "at"), steps.toLocaleString("en"));
  await page.evaluate((to) => (location.hash = to), `${hash}&step=${steps}`);
  await reached(page, steps);
}

test("space plays and pauses", async (t) => {
  const page = await ready(t);
  await page.keyboard.press(" ");
  await page.waitForFunction(() => Number(document.getElementById("at").textContent) > 5);
  assert.equal(await text(page, "play"), "Pause");
  await page.keyboard.press(" ");
  assert.equal(await text(page, "play"), "Play");
  await page.waitForTimeout(200); // a frame may have been on its way
  const steps = await text(page, "at");
  await page.waitForTimeout(200);
  assert.equal(await text(page, "at"), steps);
});

test("keys and buttons step, go on by an epoch and reset", async (t) => {
  const page = await ready(t);
  const start = await pixels(page, "graph");
  await page.keyboard.press("s");
  await reached(page, 1);
  await page.keyboard.press("e");
  await reached(page, 11);
  await page.click("#step");
  await reached(page, 12);
  await page.click("#epoch");
  await reached(page, 22);
  assert.equal(await text(page, "at-epoch"), "2");
  assert.ok((await difference(page)) < 1e-6);
  assert.ok((await pixels(page, "graph")) !== start);
  await page.keyboard.press("r");
  await reached(page, 0);
  assert.ok((await pixels(page, "graph")) === start);
});

test("the report's network is compared with PyTorch, from the seed that is chosen", async (t) => {
  const page = await ready(t);
  await page.selectOption("#activation", "tanh");
  await page.selectOption("#seed", "3");
  await page.click("#epoch");
  await reached(page, 10);
  assert.match(await text(page, "difference"), / in 10 steps$/);
  assert.ok((await difference(page)) < 1e-6);
  assert.ok((await text(page, "cards")).includes("tanh"));
});

test("every network on offer trains, and the files of no other are loaded", async (t) => {
  const page = await ready(t);
  const loaded = [];
  page.on("request", (request) => loaded.push(request.url().split("/").at(-1)));
  const data = ["moons", "spirals", "xor", "disk"];
  for (const [i, activation] of shipped.activations.entries()) {
    const [layers, units] = [(i % shipped.depth) + 1, 2 + 5 * i];
    await page.selectOption("#activation", activation);
    await page.selectOption("#layers", String(layers));
    await page.selectOption("#units", String(units));
    await page.selectOption("#data", data[i % 4]);
    await page.selectOption("#noise", "0.05");
    await page.selectOption("#batch", "20");
    await reached(page, 0);
    await page.click("#epoch");
    await reached(page, 50);
    assert.equal(await text(page, "at-epoch"), "1");
    for (const id of ["loss", "loss-training", "loss-test"]) {
      const loss = await figure(page, id);
      assert.ok(loss > 0 && loss < 1, `${activation}: ${id} ${loss}`);
    }
    assert.ok(await page.isHidden(".of-theirs"));
    const cards = await page.$$eval("#cards h3", (titles) => titles.map((h) => h.textContent));
    const linears = Array.from({ length: layers + 1 }, (_, k) => 2 * k).join(", ");
    assert.equal(cards[0], `linearlayers ${linears}`);
    assert.ok(cards[1].startsWith(activation));
    assert.ok(loaded.includes(`${activation}-${layers}-step.onnx`));
  }
  assert.ok(
    loaded.filter((file) => file.endsWith(".onnx")).length < 4 * shipped.activations.length,
  );
});

test("moons are learnt by the report's network, and not by two units", async (t) => {
  const page = await ready(t);
  const wrong = [];
  for (const [network, steps] of [
    ["units=25", 3000],
    ["layers=1&units=2", 2900],
  ]) {
    await goTo(page, `data=moons&batch=20&${network}`, steps);
    wrong.push(Number((await text(page, "wrong-test")).split(" ")[0]));
  }
  assert.ok(wrong[0] < 10 && wrong[1] > 50, `${wrong}`);
});

test("PyTorch's curve is there for what PyTorch has done, and no further", async (t) => {
  const page = await ready(t, { hash: "#step=20" });
  await reached(page, 20);
  assert.match(await text(page, "difference"), / in 20 steps$/);
  await page.fill("#lr", "8");
  await page.click("#epoch");
  await reached(page, 30);
  assert.match(await text(page, "difference"), / in 20 steps$/);
  await page.click("#reset"); // at the new rate
  await reached(page, 0);
  assert.ok(await page.isHidden("#curve-help .of-theirs"));
  const others = ["noise=0.02", "batch=50", "data=moons", "activation=gelu", "units=24"];
  for (const [i, hash] of others.entries()) {
    await goTo(page, hash, i + 1);
    assert.ok(await page.isHidden("#curve-help .of-theirs"), hash);
  }
  await goTo(page, "seed=1", 9);
  assert.ok(await page.isVisible("#curve-help .of-theirs"));
});

test("the learning rate is that of the steps from then on, and leaves the gradient alone", async (t) => {
  const page = await ready(t);
  const said = [];
  for (const index of ["6", "8"]) {
    await page.fill("#lr", index);
    await page.focus("#graph");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() =>
      /gradient .*\d/.test(document.getElementById("picked").textContent),
    );
    said.push(await text(page, "picked"));
    await page.click("#step");
    await reached(page, 1);
    said.push(await text(page, "loss"));
    await page.click("#step");
    await reached(page, 2);
    said.push(await text(page, "loss"));
    await page.click("#reset");
    await reached(page, 0);
  }
  assert.deepEqual(said.slice(0, 2), said.slice(3, 5));
  assert.notEqual(said[2], said[5]);
  assert.equal(await text(page, "lr-value"), "0.5");
});

const own = (page) =>
  text(page, "wrong-training").then((said) => Number(said.split(" of ")[1].replace(",", "")));
const holds = (page, points) =>
  page.waitForFunction(
    (n) => document.getElementById("wrong-training").textContent.endsWith(` of ${n}`),
    points.toLocaleString("en"),
  );

test("points are put by mouse and keyboard, painted by a drag, and removed by a second click", async (t) => {
  const page = await ready(t);
  await page.click("#clear");
  await page.click("#play");
  await page.waitForFunction(() =>
    document.getElementById("status").textContent.includes("no points"),
  );
  assert.equal(await text(page, "play"), "Play");
  const { x, y, width } = await page.locator("#square").boundingBox();
  const position = { x: 0.25 * width, y: 0.25 * width };
  await page.click("#square", { position });
  await holds(page, 1);
  await page.click("#square", { position });
  await holds(page, 0);
  await page.click("#square", { position });
  await page.check("[name=class][value='0']");
  await page.focus("#square");
  for (const key of ["ArrowRight", "ArrowDown", "Enter"]) await page.keyboard.press(key);
  await holds(page, 2);
  await page.keyboard.press("Enter");
  await holds(page, 1);
  await page.keyboard.press("Enter");
  await page.click("#link");
  const then = new URLSearchParams(new URL(page.url()).hash).getAll("then");
  assert.deepEqual(then.slice(-1), ["0,add,0.525,0.475,0"]);
  await page.fill("#speed", await page.getAttribute("#speed", "max"));
  await page.keyboard.press(" ");
  await says(page, "wrong-training", "0 of 2");
  await page.keyboard.press(" ");

  await page.mouse.move(x + 0.1 * width, y + 0.9 * width);
  await page.mouse.down();
  await page.mouse.move(x + 0.9 * width, y + 0.9 * width, { steps: 40 });
  await page.mouse.up();
  await page.mouse.move(x + 0.5 * width, y + 0.5 * width);
  await page.waitForFunction(
    () => document.getElementById("wrong-training").textContent.length > 6,
  );
  const painted = (await own(page)) - 2;
  assert.ok(painted > 15 && painted < 30, `${painted}`);
  await page.click("#restore");
  await holds(page, 1000);
  await page.click("#square", { position }); // those of the data set stay
  await holds(page, 1001);
});

test("a link leads to the very same state, whatever was done before", async (t) => {
  const hash = "#data=moons&noise=0.05&activation=tanh&layers=2&units=6&batch=50&seed=4&step=7";
  const page = await ready(t, { hash });
  await reached(page, 7);
  await page.fill("#lr", "8");
  await page.click("#square", { position: { x: 33, y: 44 } });
  await page.click("#square", { position: { x: 133, y: 144 } });
  await page.click("#square", { position: { x: 33, y: 44 } });
  await page.click("#epoch");
  await reached(page, 28); // 1001 points are 21 batches
  await page.click("#clear");
  await page.click("#square", { position: { x: 99, y: 55 } });
  await page.click("#epoch");
  await reached(page, 29);
  await page.click("#link");
  const other = await open(t, { hash: new URL(page.url()).hash });
  await reached(other, 29);
  const figures = ["loss", "loss-training", "loss-test", "wrong-test", "at-epoch", "lr-value"];
  for (const id of figures) assert.equal(await text(other, id), await text(page, id), id);
  for (const id of ["square", "graph"]) {
    assert.ok((await pixels(other, id)) === (await pixels(page, id)), id);
  }
  const chosen = ["data", "noise", "activation", "layers", "units", "batch", "seed", "lr"];
  const values = await Promise.all(chosen.map((id) => value(other, id)));
  assert.deepEqual(values, ["moons", "0.05", "tanh", "2", "6", "50", "4", "8"]);
});

test("a link that makes no sense is refused in words", async (t) => {
  const page = await ready(t, { hash: "#seed=77" });
  assert.equal(await text(page, "status"), "The link’s seed can’t be 77.");
  for (const part of ["activation=maxout", "lr=-1", "step=1.5", "then=5,lr,0.1", "then=0,add,1"]) {
    await page.evaluate((to) => (location.hash = to), part);
    await says(page, "status", `The link’s ${part.replace("=", " can’t be ")}.`);
  }
});

test("a unit shows what it gives, an edge its weight and gradient", async (t) => {
  const page = await ready(t, { hash: "#step=20" });
  await reached(page, 20);
  const surface = await pixels(page);
  await page.focus("#graph");
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) await page.keyboard.press(key);
  await page.waitForFunction(() =>
    document.getElementById("picked").textContent.includes("2.bias[1] = "),
  );
  assert.ok((await pixels(page)) !== surface);
  assert.ok(await page.isVisible("#picked-surface"));
  for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+ArrowDown");
  await page.waitForFunction(() =>
    /2\.weight\[1, 2\] = .*\d, gradient .*\d/.test(document.getElementById("picked").textContent),
  );
  assert.ok(await page.isHidden("#picked-surface"));
  await page.focus("#play");
  await says(page, "picked", "");
  assert.ok((await pixels(page)) === surface);
});

test("the square shows the output for inside where it is large", async (t) => {
  const page = await ready(t, { hash: "#step=1500" });
  await reached(page, 1500);
  await page.click("#clear"); // so that no point hides the surface
  await page.focus("#graph");
  for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() =>
    document.getElementById("picked").textContent.startsWith("inside: 6.bias[1] = "),
  );
  const [centre, corner] = await page.$eval("#square", (canvas) =>
    [0.5, 0.1].map((share) => {
      const at = share * canvas.width;
      return [...canvas.getContext("2d").getImageData(at, at, 1, 1).data];
    }),
  );
  const [red, , blue, opacity] = centre;
  assert.ok(blue > red && opacity > 2 * corner[3], `${centre}; ${corner}`);
});

test("formulas are mathematics, and lines are those of the library", async (t) => {
  const page = await ready(t);
  for (const activation of shipped.activations) {
    await page.selectOption("#activation", activation);
    await page.waitForFunction(
      (name) => document.getElementById("cards").textContent.includes(name),
      activation,
    );
    const cards = await page.$$eval("#cards article", (articles) =>
      articles.map((card) => ({
        formulas: card.querySelectorAll("math").length,
        lines: [...card.querySelectorAll("code")].map((c) => [
          c.closest("pre").previousSibling.textContent,
          c.dataset.line,
          c.textContent,
        ]),
      })),
    );
    assert.equal(cards.length, 4);
    for (const { formulas, lines } of cards) {
      assert.ok(formulas && lines.length);
      for (const [file, number, line] of lines) {
        const source = readFileSync(here(`../${file}`), "utf8").split("\n");
        assert.ok(source[number - 1].trim().startsWith(line), `${file}:${number}`);
      }
    }
  }
});

test("points are there before the runtime is, and a bar shows its download", async (t) => {
  let release;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  const page = await open(t, {
    prepare: (tab) =>
      tab.route("**/*.wasm", async (route) => {
        await released;
        await route.continue();
      }),
  });
  await page.waitForFunction(() => document.getElementById("square").width > 300);
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
  await moving.waitForFunction(() => Number(document.getElementById("at").textContent) > 0);
  const motion = { reducedMotion: "no-preference" };
  for (const options of [{}, { ...motion, hash: "#seed=0" }, { ...motion, query: "?embed" }]) {
    const still = await ready(t, options);
    await still.waitForTimeout(200);
    assert.equal(await text(still, "at"), "0");
  }
});

test("embedded, it is the tool alone", async (t) => {
  const page = await ready(t, { query: "?embed", hash: "#activation=tanh&layers=1&units=3" });
  for (const hidden of ["summary", "footer", "#explained"]) assert.ok(await page.isHidden(hidden));
  for (const shown of ["#square", "#graph", "#curve", "#play"]) {
    assert.ok(await page.isVisible(shown), shown);
  }
  assert.ok(await page.isHidden("#microscope-body"));
});

test("a link may open the microscope, and show nothing else where it is embedded", async (t) => {
  for (const query of ["?microscope", "?embed&microscope"]) {
    const page = await open(t, { query });
    await page.waitForSelector("#microscope-canvas");
    assert.equal(await text(page, "at"), "0");
    assert.equal(await page.isVisible("#play"), query === "?microscope");
    assert.equal(await text(page, "status"), "");
  }
});

test("without WebAssembly a message says so", async (t) => {
  const prepare = (tab) => tab.addInitScript(() => delete window.WebAssembly);
  const page = await open(t, { prepare });
  await page.waitForFunction(() =>
    document.getElementById("status").textContent.includes("no WebAssembly"),
  );
  assert.ok(await page.isHidden("#progress"));
});

test("axes have numbers and names from the first step on", async (t) => {
  const prepare = (tab) =>
    tab.addInitScript(() => {
      window.texts = {};
      const fill = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (words, ...where) {
        texts[this.canvas.id] = [...(texts[this.canvas.id] ?? []), words];
        return fill.call(this, words, ...where);
      };
    });
  const page = await ready(t, { prepare, hash: "#data=xor" });
  for (const step of [0, 1, 2]) {
    if (step) await page.click("#step");
    await reached(page, step);
    const texts = await page.evaluate(async () => {
      window.texts = {};
      dispatchEvent(new Event("resize"));
      while (!texts.graph || !texts.curve) await new Promise(requestAnimationFrame);
      return texts;
    });
    assert.deepEqual(texts.square.toSorted(), ["0", "1", "1", "x₁", "x₂"]);
    assert.ok(texts.curve.filter((words) => words > 0 && words < 10).length >= 2, `${texts.curve}`);
    assert.deepEqual(texts.curve.slice(-3), ["step 0", "100", "200"]);
    const names = texts.graph.filter((words) => /^[a-zₓ₁₂]+$/.test(words));
    assert.deepEqual(names, ["x₁", "x₂", "outside", "inside"]);
  }
});

test("on a phone a tap is called a tap, and what it shows is on the screen", async (t) => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
  const page = await ready(t, { ...phone, hash: "#step=20&units=5" });
  await reached(page, 20);
  assert.ok(await page.isHidden(".fine"));
  assert.ok(await page.isVisible(".coarse"));
  assert.ok(!(await page.innerText("main")).includes("Hover"));
  const graph = page.locator("#graph");
  await graph.scrollIntoViewIfNeeded();
  const { width, height } = await graph.boundingBox();
  let said = "";
  for (let x = 0.2; x < 0.5 && !said; x += 0.02) {
    await page.touchscreen.tap(...(await centreOf(graph, x * width, 0.5 * height)));
    await page.waitForTimeout(100);
    said = (await text(page, "picked")).match(/^unit.*bias/)?.[0] ?? "";
  }
  assert.ok(said);
  for (const id of ["picked", "picked-surface"]) {
    const { y, height: h } = await page.locator(`#${id}`).boundingBox();
    assert.ok(y >= 0 && y + h <= 844, `${id} from ${y} to ${y + h}`);
  }
  const square = page.locator("#square");
  await square.scrollIntoViewIfNeeded();
  for (const points of [1001, 1000]) {
    await page.touchscreen.tap(...(await centreOf(square, 40, 40)));
    await holds(page, points);
  }
});

async function centreOf(locator, dx, dy) {
  const { x, y } = await locator.boundingBox();
  return [x + dx, y + dy];
}

test("who links to the page shows a title and a picture", async () => {
  const html = readFileSync(here("dist/index.html"), "utf8");
  const content = (name) =>
    html.match(new RegExp(`property="og:${name}"\\s+content="([^"]+)"`))?.[1];
  assert.ok(content("title") && content("description"));
  assert.ok(statSync(here(`dist/${content("image")}`)).size > 10_000);
});

test("the report is explained, and a link in it leads back to it", async (t) => {
  const page = await ready(t, { hash: "#data=moons&units=3" });
  await page.click("summary");
  assert.ok(await page.isVisible("a[href='https://fleuret.org/ee559']"));
  await page.click("a[href='#step=0']");
  await page.waitForFunction(() => document.getElementById("units").value === "25");
  assert.equal(await value(page, "data"), "disk");
});
