/** A step on the network: what each unit and edge has at a stage, and what moves on the way there. */

import { begin, rgb, variable } from "../canvas";
import { largest, nameEnds, strokeEdge, strokeEdges } from "../graph";
import { type Layout, layOut, linearTo, type Picked } from "../picking";
import { drawDots } from "./dots";
import { drawNumbers } from "./labels";
import type { Stage } from "./stages";
import type { Step } from "./step";

export interface Scene {
  step: Step;
  stages: Stage[];
  /** The stage that is shown, or is on its way. */
  at: number;
  /** How much of it is there. */
  share: number;
  picked: Picked | undefined;
}

/** The edges that nothing happens at, or nothing is picked of. */
const FAINT = 0.3;

export function drawStep(canvas: HTMLCanvasElement, scene: Scene): void {
  const [g, width, height] = begin(canvas);
  const layout = layOut(scene.step.pass.sizes, width, height);
  drawEdges(g, layout, scene);
  drawDots(g, layout, scene);
  drawUnits(g, layout, scene);
  nameEnds(g, layout, scene.step.pass.sizes);
  drawNumbers(g, layout, scene);
}

/** What there was before, as it goes, and what is coming; or what stays: with the share of each. */
function mixed<T>(
  { stages, at, share }: Scene,
  of: (stage: Stage) => T,
  same: (a: T, b: T) => boolean,
): [T, share: number][] {
  const now = of(stages[at]!);
  if (share === 1) return [[now, 1]];
  const old = of(stages[at - 1]!);
  return same(old, now) ? [[now, 1]] : [[old, 1 - share], [now, share]];
}

function drawEdges(g: CanvasRenderingContext2D, layout: Layout, scene: Scene): void {
  const { step, stages, at, picked } = scene;
  const { sizes } = step.pass;
  if (picked?.from !== undefined) strokeEdge(g, layout, picked);
  for (let layer = 1; layer < sizes.length; layer++) {
    const inputs = sizes[layer - 1]!;
    const few = inputs * sizes[layer]! < 50;
    const faint = picked || !happensAt(stages[at]!, layer) ? (few ? 2 * FAINT : FAINT) : 1;
    const shown = mixed(
      scene,
      (stage) => step.edges(stage, layer),
      (a, b) => a.kind === b.kind,
    );
    for (const [{ numbers }, share] of shown) {
      g.globalAlpha = faint * share;
      strokeEdges(g, layout, layer, inputs, numbers);
      if (!picked) continue;
      g.globalAlpha = share;
      const own = Array.from(numbers, (v, i) => (touches(picked, layer, inputs, i) ? v : 0));
      strokeEdges(g, layout, layer, inputs, own, largest(numbers));
    }
  }
  g.globalAlpha = 1;
}

/** Whether the edges to a layer of units have a part in a stage. */
const happensAt = ({ phase, layer: at }: Stage, layer: number) =>
  phase === "inputs" || phase === "update" || at === linearTo(layer);

/** Whether an edge to a layer is what is picked, or leads to it or from it. */
function touches(picked: Picked, layer: number, inputs: number, edge: number): boolean {
  const [unit, from] = [Math.floor(edge / inputs), edge % inputs];
  if (picked.layer === layer && picked.unit === unit) return (picked.from ?? from) === from;
  return picked.from === undefined && picked.layer === layer - 1 && picked.unit === from;
}

function drawUnits(g: CanvasRenderingContext2D, { at, half }: Layout, scene: Scene): void {
  const { step, picked } = scene;
  step.pass.sizes.forEach((count, layer) => {
    const shown = mixed(
      scene,
      (stage) => step.units(stage, layer),
      (a, b) => a?.numbers === b?.numbers,
    );
    const most = shown.map(([what]) => largest(what?.numbers ?? []));
    for (let unit = 0; unit < count; unit++) {
      const chosen = picked?.layer === layer && picked.unit === unit && picked.from === undefined;
      g.beginPath();
      g.arc(...at(layer, unit), half, 0, 2 * Math.PI);
      g.fillStyle = variable("card");
      g.fill();
      shown.forEach(([what, share], i) => {
        const value = what?.numbers[unit] ?? 0;
        g.fillStyle = rgb(value > 0 ? 1 : 0, (0.6 * share * Math.abs(value)) / most[i]!);
        g.fill();
      });
      g.strokeStyle = variable(chosen ? "ink" : "soft");
      g.lineWidth = chosen ? 3 : 1;
      g.stroke();
    }
  });
}
