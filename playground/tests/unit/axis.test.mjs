import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { rangeOf, ticksOf } = await load("axis");

for (const values of [
  [],
  [0.25],
  [0.25, 0.25],
  [1e-9],
  [1e30, 0.1],
  [0.1, 7],
  [NaN, Infinity, 0, -1, 3],
]) {
  test(`an axis for ${values.join(", ") || "nothing"} has two to nine numbers, and all on it`, () => {
    const range = rangeOf(values);
    for (const v of values.filter((v) => v > 0 && v < Infinity)) {
      assert.ok(Math.log(v) > range[0] && Math.log(v) < range[1]);
    }
    const ticks = ticksOf(range);
    assert.ok(ticks.length >= 2 && ticks.length <= 9, `${ticks}`);
    for (const tick of ticks) {
      assert.ok(Math.log(tick) >= range[0] && Math.log(tick) <= range[1]);
      assert.match(String(tick.toExponential()), /^[125]e/);
    }
  });
}
