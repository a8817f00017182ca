/** Activations as the microscope writes them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { ACTIVATIONS } = await load("microscope/activations");
const { number } = await load("microscope/numbers");

for (const [name, { value, slope }] of Object.entries(ACTIVATIONS)) {
  test(`${name}: the slope is that of the value`, () => {
    for (const z of [-7, -4.1, -3.9, -1, -0.3, 0.2, 1, 3.9, 4.1, 7]) {
      const h = 1e-5;
      const difference = (value(z + h) - value(z - h)) / (2 * h);
      assert.ok(Math.abs(difference - slope(z)) < 1e-8, `at ${z}: ${difference} ≠ ${slope(z)}`);
    }
  });
}

test("gelu is z times the normal distribution's share below z", () => {
  for (const [z, expected] of [
    [0, 0],
    [1, 0.8413447460685429],
    [-2, -0.04550026389635842],
    [5, 4.999998566741956],
    [-6, -5.919525870226189e-9],
  ]) {
    assert.ok(Math.abs(ACTIVATIONS.gelu.value(z) - expected) <= 1e-12 * Math.abs(expected), z);
  }
});

test("numbers are short, and say what they are", () => {
  for (const [value, expected] of [
    [0, "0"],
    [-0.0, "0"],
    [0.123456, "0.1235"],
    [-0.5, "−0.5"],
    [9999, "9999"],
    [123456, "1.23e5"],
    [-0.000012345, "−1.23e−5"],
    [Infinity, "∞"],
    [-Infinity, "−∞"],
    [NaN, "NaN"],
  ]) {
    assert.equal(number(value), expected);
  }
  assert.equal(number(-0.00012345, 1), "−1e−4");
});
