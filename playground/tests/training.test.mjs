/** What the page's modules train in a real browser, beside Python. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { here, laboratory, shipped } from "./browser.mjs";

const probes = JSON.parse(readFileSync(here("tests/probes.json")));
const STEPS = 200; // 20 epochs

for (const activation of shipped.report.activations) {
  test(`20 epochs with ${activation} give PyTorch's losses, from every seed`, async (t) => {
    const page = await laboratory(t);
    let most = 0;
    for (let seed = 0; seed < shipped.seeds; seed++) {
      const { off, nearest } = await page.evaluate(
        async ([activation, seed, steps]) => {
          const arrays = await lab.loadSeed(lab.shipped, seed);
          const theirs = arrays[`${activation}.losses`];
          const state = lab.fromHash(`#activation=${activation}&seed=${seed}`, lab.shipped);
          const training = new lab.Training(lab.shipped, state, arrays);
          const off = [];
          let nearest; // to 0, where relu has its kink, of all units' inputs before the last step
          let next;
          while (training.steps < steps && !(off.at(-1) >= 1e-6)) {
            nearest = next;
            const { values } = await training.pass();
            const inputs = values.slice(0, -1).filter((_, k) => k % 2 === 0);
            next = Math.min(
              ...inputs.map((of) => of.reduce((a, v) => Math.min(a, Math.abs(v)), 1)),
            );
            await training.step();
            off.push(Math.abs(training.losses.at(-1) / theirs[training.steps - 1] - 1));
          }
          return { off, nearest };
        },
        [activation, seed, STEPS],
      );
      const same = off.findIndex((o) => o >= 1e-6);
      most = Math.max(most, ...off.slice(0, same < 0 ? STEPS : same));
      if (same < 0) continue;
      // Only where rounding decides whether a unit is on may the two part.
      assert.equal(activation, "relu");
      assert.ok(nearest < 1e-7, `seed ${seed}: ${off[same]} at step ${same}, ${nearest}`);
      t.diagnostic(`seed ${seed}: they part at step ${same}, a unit's input being ${nearest}`);
    }
    t.diagnostic(`largest relative difference: ${most.toExponential(1)}`);
  });
}

for (const { activation, step, loss, ...leaves } of probes) {
  test(`${activation}, step ${step}: gradients and cotangents are Python's`, async (t) => {
    const page = await laboratory(t);
    const start = Object.entries(leaves).filter(([name]) => name.startsWith("params."));
    const pass = await page.evaluate(
      async ([activation, step, start]) => {
        const arrays = await lab.loadSeed(lab.shipped, 0);
        const state = lab.fromHash(`#activation=${activation}`, lab.shipped);
        const params = Object.fromEntries(start.map(([k, v]) => [k, Float32Array.from(v)]));
        const training = new lab.Training(lab.shipped, state, arrays, params);
        training.losses.push(...Array(step % training.stepsPerEpoch).fill(0)); // to its batch
        const { gradients, values, cotangents, loss } = await training.pass();
        const plain = (of) => Object.fromEntries(Object.entries(of).map(([k, v]) => [k, [...v]]));
        return {
          loss,
          ...Object.fromEntries(
            Object.entries({ gradients, values, cotangents }).map(([k, v]) => [k, plain(v)]),
          ),
        };
      },
      [activation, step, start],
    );
    assert.ok(Math.abs(pass.loss / loss[0] - 1) < 1e-6);
    let most = 0;
    for (const [name, theirs] of Object.entries(leaves)) {
      const [kind, ...leaf] = name.split(".");
      if (kind === "params") continue;
      const ours = pass[kind][leaf.join(".")];
      assert.equal(ours.length, theirs.length, name);
      const largest = Math.max(...theirs.map(Math.abs));
      const off = Math.max(...theirs.map((v, i) => Math.abs(v - ours[i]))) / largest;
      assert.ok(off < 1e-6, `${name}: ${off}`);
      if (kind === "gradients") most = Math.max(most, off);
    }
    t.diagnostic(`gradients differ by ${most.toExponential(1)} of the leaf's largest at most`);
  });
}
