import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { largest } = await load("largest");

test("the largest is finite and above 0, whatever training comes to", () => {
  assert.equal(largest([1, -3, 2]), 3);
  assert.equal(largest([1, Infinity, NaN, -Infinity]), 1);
  for (const none of [[], [0], [NaN, Infinity]]) assert.ok(largest(none) > 0);
});
