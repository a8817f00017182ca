/** What moves along the edges on the way to a stage. */

import { rgb } from "../canvas";
import { largest } from "../largest";
import { type Layout, linearTo, type Place } from "../picking";
import type { Scene } from "./scene";
import type { Stage } from "./stages";
import type { Step } from "./step";

const LEVELS = 5; // of size

interface Dot {
  from: Place;
  to: Place;
  /** What it carries. */
  value: number;
}

export function drawDots(g: CanvasRenderingContext2D, layout: Layout, scene: Scene): void {
  const { step, stages, at, share } = scene;
  if (share === 1) return;
  const dots = dotsOf(step, stages[at]!, layout);
  const most = largest(dots.map(({ value }) => value));
  const largestRadius = Math.min(5, 0.45 * layout.half + 1);
  const paths = [new Path2D(), new Path2D()];
  const along = share * share * (3 - 2 * share); // slow at both ends
  for (const { from, to, value } of dots) {
    const level = Math.min(Math.ceil((LEVELS * Math.abs(value)) / most), LEVELS);
    if (!(level > 0)) continue;
    const [x, y] = [0, 1].map((i) => from[i]! + along * (to[i]! - from[i]!)) as Place;
    const radius = (largestRadius * level) / LEVELS;
    const path = paths[value > 0 ? 1 : 0]!;
    path.moveTo(x + radius, y);
    path.arc(x, y, radius, 0, 2 * Math.PI);
  }
  paths.forEach((path, sign) => {
    g.fillStyle = rgb(sign);
    g.fill(path);
  });
}

/** Where a loss is drawn: beside the outputs, halfway between them. */
export function placeOfLoss({ at, half }: Layout, sizes: number[]): Place {
  const last = sizes.length - 1;
  const ys = Array.from({ length: sizes[last]! }, (_, unit) => at(last, unit)[1]);
  return [at(last, 0)[0] + half + 28, ys.reduce((a, b) => a + b) / ys.length];
}

function dotsOf(step: Step, stage: Stage, layout: Layout): Dot[] {
  const { sizes, before } = step.pass;
  const { phase, layer } = stage;
  const end = 2 * sizes.length - 3;
  const last = sizes.length - 1;
  if (phase === "loss" || (phase === "backward" && layer === end)) {
    const loss = placeOfLoss(layout, sizes);
    return Array.from({ length: sizes[last]! }, (_, unit): Dot => {
      const own = layout.at(last, unit);
      return phase === "loss"
        ? { from: own, to: loss, value: step.values[layer - 1]![unit]! }
        : { from: loss, to: own, value: step.cotangents[layer - 1]![unit]! };
    });
  }
  if ((phase !== "forward" && phase !== "backward") || layer % 2) return [];
  if (phase === "backward" && layer === 0) return []; // the inputs need no cotangent
  const units = layer / 2 + 1; // that it leads to
  const inputs = sizes[units - 1]!;
  return Array.from(before[`${linearTo(units)}.weight`]!, (weight, i): Dot => {
    const [unit, from] = [Math.floor(i / inputs), i % inputs];
    const [start, end] = [layout.at(units - 1, from), layout.at(units, unit)];
    return phase === "forward"
      ? { from: start, to: end, value: weight * step.into(layer)[from]! }
      : { from: end, to: start, value: weight * step.cotangents[layer]![unit]! };
  });
}
