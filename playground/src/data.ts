/** The data sets: points in the unit square, in two classes. */

import type { Arrays } from "./page";
import { type Draw, draws, normal } from "./random";

export interface Point {
  x: number;
  y: number;
  /** 0 is outside, 1 inside. */
  class: number;
}

export type Kind = "training" | "test";

const N = 1000;
const place = (x: number, y: number) => ({ x: 0.5 + x, y: 0.5 + y });

/** A point of a class, each but the report's disk. */
const SHAPES: Record<string, (of: number, draw: Draw) => Omit<Point, "class">> = {
  moons(of, draw) {
    const angle = Math.PI * draw();
    const [x, y] = [Math.cos(angle) - 0.5, Math.sin(angle) - 0.25];
    return of ? place(0.27 * x, 0.4 * y) : place(-0.27 * x, -0.4 * y);
  },
  spirals(of, draw) {
    const radius = Math.sqrt(draw());
    const angle = 2 * Math.PI * radius + Math.PI * of;
    return place(0.45 * radius * Math.cos(angle), 0.45 * radius * Math.sin(angle));
  },
  xor(of, draw) {
    const [x, y] = [0.5 * draw(), 0.5 * draw()];
    const left = draw() < 0.5;
    return place(left ? -x : x, left === (of === 1) ? y : -y);
  },
};

/** The disk is the report's. */
export const DATA = ["disk", ...Object.keys(SHAPES)];

/** How far points are moved, after their class is known: its standard deviation. */
export const NOISES = [0, 0.02, 0.05, 0.1];

/** Of a seed, whose arrays hold the report's points. */
export function pointsOf(
  { data, noise, seed }: { data: string; noise: number; seed: number },
  arrays: Arrays,
  kind: Kind,
): Point[] {
  const draw = draws(seed, `${data} ${kind}`);
  const points = data === "disk" ? reports(arrays, kind) : drawn(SHAPES[data]!, draw);
  if (!noise) return points;
  const move = draws(seed, `noise ${kind}`);
  return points.map((p) => ({
    x: within(p.x + noise * normal(move)),
    y: within(p.y + noise * normal(move)),
    class: p.class,
  }));
}

function drawn(shape: (typeof SHAPES)[string], draw: Draw): Point[] {
  return Array.from({ length: N }, (_, i) => {
    const of = i % 2;
    const { x, y } = shape(of, draw);
    return { x: Math.fround(x), y: Math.fround(y), class: of };
  });
}

function reports(arrays: Arrays, kind: Kind): Point[] {
  const [inputs, targets] = [arrays[`${kind}.inputs`]!, arrays[`${kind}.targets`]!];
  return Array.from({ length: inputs.length / 2 }, (_, i) => ({
    x: inputs[2 * i]!,
    y: inputs[2 * i + 1]!,
    class: targets[2 * i + 1]!,
  }));
}

/** Back from the border, so that all are within. */
function within(v: number): number {
  const folded = Math.abs(v) % 2;
  return Math.fround(folded > 1 ? 2 - folded : folded);
}
