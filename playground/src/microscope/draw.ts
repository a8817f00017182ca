/** A step on the network: what each unit and edge has at a stage, and what moves on the way there. */

import { begin, LOOKS, rgb, variable } from "../canvas";
import { nameEnds, strokeEdge, strokeEdges } from "../graph";
import { largest } from "../largest";
import { type Layout, layOut, linearTo, type Picked } from "../picking";
import { drawDots } from "./dots";
import { drawNumbers } from "./labels";
import { type Scene, seen } from "./scene";
import type { Stage } from "./stages";
import type { Shown, Step } from "./step";

/** The edges that nothing happens at, or nothing is picked of. */
const FAINT = 0.3;
const COMES = 0.6; // the share of a stage after which its units fill

export function drawStep(canvas: HTMLCanvasElement, scene: Scene): void {
  const [g, width, height] = begin(canvas);
  const layout = layOut(scene.step.pass.sizes, width, height);
  drawEdges(canvas, layout, scene);
  drawDots(g, layout, scene);
  drawUnits(g, layout, scene);
  nameEnds(g, layout, scene.step.pass.sizes);
  drawNumbers(g, layout, scene);
}

const lines = document.createElement("canvas");
let drawn: unknown[] = [];

/** The edges: drawn once for a stage, since they are many. */
function drawEdges(canvas: HTMLCanvasElement, layout: Layout, scene: Scene): void {
  const { step, stages, at, picked } = scene;
  const { width, height } = canvas;
  const [now, kinds] = [stages[at]!, seen(scene)];
  const key = [step, now, kinds, picked, width, height, LOOKS.map(variable).join()];
  if (key.some((part, i) => part !== drawn[i])) {
    drawn = key;
    [lines.width, lines.height] = [width, height];
    const g = lines.getContext("2d")!;
    g.setTransform(canvas.getContext("2d")!.getTransform());
    strokeAll(g, layout, step, now, kinds, picked);
  }
  const g = canvas.getContext("2d")!;
  if (picked?.from !== undefined) strokeEdge(g, layout, picked);
  g.drawImage(lines, 0, 0, canvas.clientWidth, canvas.clientHeight);
}

function strokeAll(
  g: CanvasRenderingContext2D,
  layout: Layout,
  step: Step,
  now: Stage,
  kinds: Stage,
  picked: Picked | undefined,
): void {
  const { sizes } = step.pass;
  for (let layer = 1; layer < sizes.length; layer++) {
    const inputs = sizes[layer - 1]!;
    const faint = inputs * sizes[layer]! < 50 ? 2 * FAINT : FAINT;
    const { numbers } = step.edges(kinds, layer);
    g.globalAlpha = picked || !happensAt(now, layer) ? faint : 1;
    strokeEdges(g, layout, layer, inputs, numbers);
    if (!picked) continue;
    g.globalAlpha = 1;
    const own = Array.from(numbers, (v, i) => (touches(picked, layer, inputs, i) ? v : 0));
    strokeEdges(g, layout, layer, inputs, own, largest(numbers));
  }
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
    const shown = fading(scene, layer);
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

/** What a layer's units have had, as it goes, and what they get; or what stays. */
function fading({ step, stages, at, share }: Scene, layer: number): [Shown | undefined, number][] {
  const now = step.units(stages[at]!, layer);
  const old = share < 1 ? step.units(stages[at - 1]!, layer) : now;
  const come = Math.max(0, (share - COMES) / (1 - COMES));
  return old?.numbers === now?.numbers
    ? [[now, 1]]
    : [
        [old, 1 - come],
        [now, come],
      ];
}
