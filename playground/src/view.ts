/** All that is seen of training. */

import { drawCurve } from "./curve";
import { element } from "./elements";
import { drawGraph, type Picked } from "./graph";
import { page } from "./page";
import { showPicked, showProgress, showWrong } from "./readouts";
import { CELLS, drawSquare, GRID, type Place } from "./square";
import type { Point, Training } from "./training";

const COLUMNS = page.sizes.reduce((a, b) => a + b);

/** What the visitor points at. */
export const pointed: { picked?: Picked | undefined; cursor?: Place | undefined } = {};

/** Draws all; without the runtime, all but what the network makes of the points. */
export async function draw(
  training: Training,
  theirs: ArrayLike<number>,
  test: Point[],
  ready: boolean,
): Promise<void> {
  const { picked, cursor } = pointed;
  const { points } = training;
  const units = ready ? await training.units(placesFor(points, test)) : undefined;
  const wrong = units ? points.filter((p, i) => p.class !== told(units, CELLS + i)) : [];
  const wrongOfTest = units
    ? test.filter((p, i) => p.class !== told(units, CELLS + points.length + i))
    : [];
  const shown = element<HTMLInputElement>("test").checked;
  drawSquare(element("square"), {
    surface: units ? surface(units, picked) : [],
    points,
    test: shown ? test : [],
    wrong: shown ? [...wrong, ...wrongOfTest] : wrong,
    cursor,
  });
  drawGraph(element("graph"), training, picked);
  drawCurve(element("curve"), training.losses, theirs, training.stepsPerEpoch || 1);
  showProgress(training, theirs);
  showPicked(training, picked);
  if (units) {
    showWrong("training", wrong.length, points.length);
    showWrong("test", wrongOfTest.length, test.length);
  }
}

const known = new WeakMap<Point[], Float32Array>();

/** The grid, the points and the test points: x and y of each. */
function placesFor(points: Point[], test: Point[]): Float32Array {
  const places =
    known.get(points) ??
    Float32Array.from([...GRID, ...points, ...test].flatMap(({ x, y }) => [x, y]));
  known.set(points, places);
  return places;
}

/** How much more a place is inside than outside. */
function score(units: Float32Array, place: number): number {
  const end = (place + 1) * COLUMNS;
  return units[end - 1]! - units[end - 2]!;
}

const told = (units: Float32Array, place: number) => (score(units, place) > 0 ? 1 : 0);

/** The score over the grid, or what the unit that is pointed at gives, with its largest as 1. */
function surface(units: Float32Array, picked: Picked | undefined): number[] {
  if (!picked || picked.from !== undefined) return GRID.map((_, i) => score(units, i));
  const column = page.sizes.slice(0, picked.layer).reduce((a, b) => a + b, picked.unit);
  const values = GRID.map((_, i) => units[i * COLUMNS + column]!);
  const most = Math.max(...values.map(Math.abs), Number.MIN_VALUE);
  return values.map((value) => value / most);
}
