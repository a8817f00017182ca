/** How the microscope's film goes on in time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { Film } = await load("microscope/film");

const film = ({ still = false, stages = 10 } = {}) => {
  const made = new Film(() => still);
  made.resize(stages);
  return made;
};

/** Ticks until nothing moves. */
function run(film, ms = 16) {
  const seen = [];
  for (let i = 0; film.moving; i++) {
    assert.ok(i < 1e5, "it ends");
    film.tick(ms);
    seen.push([film.at, film.share]);
  }
  return seen;
}

test("playing goes through all stages in order, each from its beginning to its end", () => {
  const one = film();
  one.play();
  assert.ok(one.playing);
  const seen = run(one);
  assert.deepEqual([...new Set(seen.map(([at]) => at))], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (const stage of [1, 5, 9]) {
    const shares = seen.filter(([at]) => at === stage).map(([, share]) => share);
    assert.deepEqual(
      shares,
      shares.toSorted((a, b) => a - b),
    );
    assert.ok(shares[0] < 0.1 && shares.at(-1) === 1);
  }
  assert.ok(!one.playing);
});

test("a pause stays where it is, and playing goes on from there", () => {
  const one = film();
  one.play();
  for (let i = 0; i < 150; i++) one.tick(16);
  one.pause();
  const { at, share } = one;
  one.tick(5000);
  assert.deepEqual([one.at, one.share], [at, share]);
  one.play();
  assert.ok(run(one)[0][0] >= at);
});

test("from the end, playing begins anew", () => {
  const one = film();
  one.goTo(9);
  run(one);
  one.play();
  assert.equal(one.at, 0);
});

test("it goes to any stage within a moment, and no further than there are stages", () => {
  const one = film();
  for (const [stage, expected] of [
    [7, 7],
    [-3, 0],
    [99, 9],
  ]) {
    one.goTo(stage);
    const frames = run(one).length;
    assert.ok(frames < 30, `${frames}`);
    assert.equal(one.at, expected);
    assert.equal(one.share, 1);
  }
});

test("with reduced motion, stages are there at once, and playing steps from one to the next", () => {
  const one = film({ still: true });
  one.goTo(4);
  assert.deepEqual([one.at, one.moving], [4, false]);
  one.play();
  assert.ok(run(one).every(([, share]) => share === 1));
  assert.equal(one.at, 9);
});

test("fewer stages leave it at the last", () => {
  const one = film();
  one.goTo(9);
  run(one);
  one.resize(4);
  assert.deepEqual([one.at, one.moving], [3, false]);
});
