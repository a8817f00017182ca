import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";
import { page } from "./page.mjs";

const { fromHash, sizesOf, toHash } = await load("link");

test("without a hash there is the report's network", () => {
  const state = fromHash("", page);
  assert.deepEqual(sizesOf(page, state), page.report.sizes);
  const { data, noise, activation, batch, seed, lr, step, changes } = state;
  const expected = ["disk", 0, "relu", 100, 0, 0.1, 0, []];
  assert.deepEqual([data, noise, activation, batch, seed, lr, step, changes], expected);
});

test("a state comes back from its hash", () => {
  const state = {
    ...{ data: "moons", noise: 0.05, activation: "gelu", layers: 2, units: 7, batch: 20 },
    ...{ seed: 9, lr: 0.002, step: 77 },
    changes: [
      [0, "add", 0.123, 1, 0],
      [3, "remove", 1000],
      [3, "lr", 10],
      [70, "clear"],
      [77, "restore"],
    ],
  };
  assert.deepEqual(fromHash(toHash(state), page), state);
});

for (const wrong of [
  "data=spam",
  "noise=-0.1",
  "noise=9",
  "noise=much",
  "activation=maxout",
  "layers=0",
  "layers=5",
  "layers=1.5",
  "units=1",
  "units=26",
  "batch=0",
  "batch=1001",
  "seed=10",
  "seed=-1",
  "lr=0",
  "lr=11",
  "lr=fast",
  "step=1e6",
  "step=-1",
  "then=1,clear",
  "then=0,explode",
  "then=0,lr",
  "then=0,lr,0.1,0.2",
  "then=0,add,2,0,0",
  "then=0,remove,0.5",
  "then=x,clear",
]) {
  test(`${wrong} is refused`, () => {
    const message = `The link’s ${wrong.replace("=", " can’t be ")}.`;
    assert.throws(() => fromHash(`#${wrong}`, page), { name: "RangeError", message });
  });
}

test("changes that go back in time are refused", () => {
  assert.throws(() => fromHash("#step=5&then=4,clear&then=3,restore", page), RangeError);
});
