/** How long training takes, and the frames that come meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ready, shipped, text } from "./browser.mjs";

for (const activation of shipped.report.activations) {
  test(`500 epochs of ${activation} tell the points apart`, async (t) => {
    const page = await ready(t);
    const { seconds, frames } = await page.evaluate(async (hash) => {
      const at = document.getElementById("at");
      const frames = [];
      const start = performance.now();
      location.hash = hash;
      while (at.textContent !== "5,000") frames.push(await new Promise(requestAnimationFrame));
      return { seconds: (performance.now() - start) / 1000, frames };
    }, `activation=${activation}&step=5000`);
    const times = frames.slice(1).map((time, i) => time - frames[i]);
    const median = times.sort((a, b) => a - b)[times.length >> 1];
    t.diagnostic(`${seconds.toFixed(2)} s, median frame ${median.toFixed(1)} ms`);
    for (const kind of ["training", "test"]) {
      const [wrong, all] = (await text(page, `wrong-${kind}`)).replaceAll(",", "").split(" of ");
      assert.ok(Number(wrong) < 0.06 * Number(all), `${kind}: ${wrong} of ${all}`);
    }
    // relu is chaotic: scripts/onnx_train.py draws how.
    const [most] = (await text(page, "difference")).split(" ");
    if (activation === "tanh") assert.ok(Number(most.replace("−", "-")) < 1e-4, most);
  });
}
