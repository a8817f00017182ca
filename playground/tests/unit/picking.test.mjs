/** What is picked on the drawing of a network. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { has, layOut, pickedAt, pickedBy } = await load("picking");

for (const sizes of [
  [2, 3, 2],
  [2, 25, 25, 25, 2],
  [2, 2, 2],
]) {
  for (const [width, height] of [
    [700, 540],
    [330, 380],
  ]) {
    test(`${sizes} on ${width} × ${height}: each unit is where it is drawn, and within`, () => {
      const layout = layOut(sizes, width, height);
      sizes.forEach((units, layer) => {
        for (let unit = 0; unit < units; unit++) {
          const [x, y] = layout.at(layer, unit);
          assert.deepEqual(pickedAt(sizes, layout, [x + 1, y - 1], 4), { layer, unit });
          for (const [at, size] of [
            [x, width],
            [y, height],
          ]) {
            assert.ok(at >= layout.half && at + layout.half <= size, `${at} of ${size}`);
          }
        }
      });
    });
  }
}

test("an edge is picked near its line, and nothing far from all", () => {
  const sizes = [2, 3, 2];
  const layout = layOut(sizes, 700, 540);
  const [[ax, ay], [bx, by]] = [layout.at(0, 1), layout.at(1, 2)];
  const place = [ax + 0.4 * (bx - ax), ay + 0.4 * (by - ay) + 2];
  assert.deepEqual(pickedAt(sizes, layout, place, 4), { layer: 1, unit: 2, from: 1 });
  assert.equal(pickedAt(sizes, layout, [350, 3], 4), undefined);
  const beyond = [ax + 1.3 * (bx - ax), ay + 1.3 * (by - ay)];
  assert.equal(pickedAt(sizes, layout, beyond, 4), undefined);
});

test("a network has what it has", () => {
  const sizes = [2, 3, 2];
  assert.ok(has(sizes, { layer: 1, unit: 2, from: 1 }) && has(sizes, { layer: 0, unit: 1 }));
  for (const picked of [
    { layer: 1, unit: 3 },
    { layer: 3, unit: 0 },
    { layer: 1, unit: 0, from: 2 },
  ]) {
    assert.ok(!has(sizes, picked), JSON.stringify(picked));
  }
});

test("a finger reaches further", () => {
  const sizes = [2, 3, 2];
  const layout = layOut(sizes, 700, 540);
  const [x, y] = layout.at(1, 0);
  const beside = [x, y - layout.half - 8];
  assert.equal(pickedAt(sizes, layout, beside, 4), undefined);
  assert.deepEqual(pickedAt(sizes, layout, beside, 12), { layer: 1, unit: 0 });
});

test("arrow keys reach every unit, and with shift every edge", () => {
  const sizes = [2, 4, 3, 2];
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
  const seen = new Set();
  const visit = (picked) => {
    const key = JSON.stringify(picked);
    if (picked && seen.has(key)) return;
    if (picked) {
      assert.ok(has(sizes, picked), key);
      seen.add(key);
    }
    for (const arrow of keys)
      for (const shift of [false, true]) visit(pickedBy(sizes, arrow, shift, picked));
  };
  visit(undefined);
  assert.equal(seen.size, 2 + 4 + 3 + 2 + 8 + 12 + 6);
  assert.equal(pickedBy(sizes, "a", false, { layer: 1, unit: 0 }), undefined);
});
