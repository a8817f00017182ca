import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { Course } = await load("course");
const { fromHash } = await load("link");
const { page } = await import("./page.mjs");

const given = [
  { x: 0.1, y: 0.2, class: 0 },
  { x: 0.3, y: 0.4, class: 1 },
];
const begun = (hash = "") => new Course(fromHash(hash, page), given);

test("changes that a state made come at their steps", () => {
  const course = begun("#step=5&then=0,add,0.5,0.5,1&then=2,lr,0.5&then=2,remove,0&then=5,clear");
  const seen = [];
  for (let step = 0; step <= 5; step++) {
    course.reach(step);
    seen.push([course.points.length, course.lr]);
  }
  assert.deepEqual(seen, [
    [3, 0.1],
    [3, 0.1],
    [2, 0.5],
    [2, 0.5],
    [2, 0.5],
    [0, 0.5],
  ]);
  assert.deepEqual(course.at(5), fromHash(location(course), page));
});

const location = (course) => {
  const { changes, ...rest } = course.at(5);
  const then = changes.map((change) => `then=${change.join()}`);
  return `#${[...Object.entries(rest).map((part) => part.join("=")), ...then].join("&")}`;
};

test("of learning rates at one step the last counts", () => {
  const course = begun();
  for (const lr of [0.2, 0.5]) course.change([0, "lr", lr]);
  assert.deepEqual(course.changes, [[0, "lr", 0.5]]);
});

test("to restart keeps the points and the rate, but not what was before the data set's came back", () => {
  const course = begun();
  for (const change of [
    [1, "add", 0.5, 0.5, 1],
    [2, "restore"],
    [3, "lr", 0.5],
    [4, "add", 0.6, 0.6, 0],
    [5, "remove", 1],
  ])
    course.change(change);
  const { lr, step, changes } = course.restart;
  assert.deepEqual(
    [lr, step, changes],
    [
      0.5,
      0,
      [
        [0, "add", 0.6, 0.6, 0],
        [0, "remove", 1],
      ],
    ],
  );
});

test("points are the visitor's, or the data set's", () => {
  const course = begun();
  course.change([0, "add", 0.1, 0.2, 0]);
  assert.deepEqual(
    course.points.map((p) => course.isOwn(p)),
    [false, false, true],
  );
  course.change([0, "remove", 2]);
  assert.deepEqual(course.points, given);
});

test("PyTorch has done the same with the report's network and data, up to the first change", () => {
  assert.equal(begun().comparable(page), Infinity);
  assert.equal(begun("#seed=3&activation=tanh").comparable(page), Infinity);
  const course = begun();
  course.change([7, "lr", 0.5]);
  assert.equal(course.comparable(page), 7);
  for (const other of [
    "data=xor",
    "noise=0.02",
    "activation=gelu",
    "layers=2",
    "units=24",
    "batch=50",
    "lr=0.2",
  ]) {
    assert.equal(begun(`#${other}`).comparable(page), 0, other);
  }
});
