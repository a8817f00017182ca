import assert from "node:assert/strict";
import axe from "axe-core";

/** Fails where axe finds something, or the page is wider than the screen. */
export async function accessible(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run());
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes.map((n) => n.html)]),
    [],
  );
  const [inner, outer] = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
  assert.ok(inner <= outer, `${inner} > ${outer}`);
}
