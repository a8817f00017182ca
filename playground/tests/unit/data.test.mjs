import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";
import { page } from "./page.mjs";

const { DATA, NOISES, pointsOf } = await load("data");
const { draws, normal } = await load("random");
const { paramsOf, shapesOf } = await load("params");
const { fromHash } = await load("link");

const arrays = {};
for (const kind of ["training", "test"]) {
  arrays[`${kind}.inputs`] = Float32Array.from([0.5, 0.5, 0.01, 0.99]);
  arrays[`${kind}.targets`] = Float32Array.from([0, 1, 1, 0]);
}

test("random numbers follow from seed and purpose, and fill the interval", () => {
  const list = (seed, purpose) => {
    const draw = draws(seed, purpose);
    return Array.from({ length: 10_000 }, draw);
  };
  const some = list(0, "a");
  assert.deepEqual(list(0, "a"), some);
  assert.notDeepEqual(list(1, "a"), some);
  assert.notDeepEqual(list(0, "b"), some);
  assert.ok(some.every((v) => v >= 0 && v < 1));
  const tenths = Array(10).fill(0);
  for (const v of some) tenths[Math.floor(10 * v)]++;
  // Each is binomial with a standard deviation of 30.
  assert.ok(
    tenths.every((n) => Math.abs(n - 1000) < 150),
    `${tenths}`,
  );
});

test("normal numbers have mean 0 and variance 1", () => {
  const draw = draws(0, "normal");
  const some = Array.from({ length: 10_000 }, () => normal(draw));
  const mean = some.reduce((a, v) => a + v) / some.length;
  const variance = some.reduce((a, v) => a + v * v, 0) / some.length;
  // Standard errors are 0.01 and 0.014.
  assert.ok(Math.abs(mean) < 0.05 && Math.abs(variance - 1) < 0.07, `${mean}, ${variance}`);
});

test("the report's points are those of the arrays", () => {
  const points = pointsOf({ data: "disk", noise: 0, seed: 0 }, arrays, "training");
  const [x, y] = [0.01, 0.99].map(Math.fround);
  assert.deepEqual(points, [
    { x: 0.5, y: 0.5, class: 1 },
    { x, y, class: 0 },
  ]);
});

for (const data of DATA.slice(1)) {
  test(`${data}: 1,000 points in the square, half of each class, from the seed`, () => {
    for (const noise of NOISES) {
      const of = (seed, kind) => pointsOf({ data, noise, seed }, arrays, kind);
      const points = of(0, "training");
      assert.equal(points.length, 1000);
      assert.equal(points.filter((p) => p.class === 1).length, 500);
      assert.ok(points.every(({ x, y }) => x >= 0 && x <= 1 && y >= 0 && y <= 1));
      assert.deepEqual(of(0, "training"), points);
      assert.notDeepEqual(of(1, "training"), points);
      assert.notDeepEqual(of(0, "test"), points);
    }
  });
}

test("xor's classes are opposite quadrants", () => {
  for (const p of pointsOf({ data: "xor", noise: 0, seed: 0 }, arrays, "test")) {
    assert.equal(p.x > 0.5 !== p.y > 0.5, p.class === 1);
  }
});

test("noise moves points by about as much as it says, and leaves their classes", () => {
  const of = (noise) => pointsOf({ data: "moons", noise, seed: 0 }, arrays, "training");
  const [before, after] = [of(0), of(0.02)];
  const moved = before.map((p, i) => (p.x - after[i].x) ** 2 + (p.y - after[i].y) ** 2);
  const mean = Math.sqrt(moved.reduce((a, v) => a + v) / 2000);
  assert.ok(mean > 0.018 && mean < 0.022, `${mean}`); // a standard error of 0.0003
  assert.deepEqual(
    before.map((p) => p.class),
    after.map((p) => p.class),
  );
});

test("other networks begin with PyTorch's rule, the report's with PyTorch's own params", () => {
  const state = fromHash("#layers=2&units=9", page);
  const params = paramsOf(page, state, {});
  const shapes = shapesOf([2, 9, 9, 2]);
  assert.deepEqual(Object.keys(params), Object.keys(shapes));
  assert.deepEqual(shapes["params.2.weight"], [9, 9]);
  assert.deepEqual(shapes["params.4.bias"], [2]);
  for (const [name, inputs] of [
    ["params.0", 2],
    ["params.2", 9],
    ["params.4", 9],
  ]) {
    for (const leaf of ["weight", "bias"]) {
      const values = params[`${name}.${leaf}`];
      assert.equal(
        values.length,
        shapes[`${name}.${leaf}`].reduce((a, b) => a * b),
      );
      assert.ok(values.every((v) => Math.abs(v) <= 1 / Math.sqrt(inputs)));
    }
  }
  assert.ok(Math.max(...params["params.2.weight"]) > 0.3); // of ⅓
  assert.deepEqual(paramsOf(page, state, {}), params);
  assert.notDeepEqual(paramsOf(page, { ...state, seed: 1 }, {}), params);

  const known = Object.fromEntries(
    Object.keys(shapesOf(page.report.sizes)).map((name) => [name, new Float32Array(1)]),
  );
  assert.deepEqual(paramsOf(page, fromHash("#data=xor", page), { ...known, more: 1 }), known);
});
