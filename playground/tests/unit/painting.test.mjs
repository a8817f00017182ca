import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { nearest } = await load("painting");
const { batchesOf, remembered } = await load("tensors");
const { once } = await load("page");

test("the nearest point within reach is found, or none", () => {
  const points = [
    { x: 0, y: 0 },
    { x: 0.1, y: 0 },
    { x: 0.5, y: 0.5 },
  ];
  assert.equal(nearest(points, { x: 0.09, y: 0 }, 0.2), 1);
  assert.equal(nearest(points, { x: 0.3, y: 0.3 }, 0.1), -1);
  assert.equal(nearest([], { x: 0, y: 0 }, 1), -1);
});

test("batches are contiguous, and the last may be smaller", () => {
  assert.deepEqual(batchesOf([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]);
  assert.deepEqual(batchesOf([], 2), []);
});

test("what is remembered is computed once for each object", () => {
  let calls = 0;
  const count = remembered((list) => ++calls + list.length);
  const [a, b] = [[1], [1]];
  assert.deepEqual([count(a), count(a), count(b)], [2, 2, 3]);
});

test("what fails is tried again, what succeeds isn't", async () => {
  const known = new Map();
  const answers = [Promise.reject(new Error("gone")), Promise.resolve(1), Promise.resolve(2)];
  const ask = () => once(known, "key", () => answers.shift());
  await assert.rejects(ask(), /gone/);
  assert.equal(await ask(), 1);
  assert.equal(await ask(), 1);
});

test("no module fetches anything when it is imported", async () => {
  globalThis.fetch = () => assert.fail("it fetches");
  for (const name of ["page", "link", "course", "params", "pass"]) await load(name);
});
