/** The network as a graph: weights by colour and width, each unit by its answer or its bias. */

import { begin, LOOKS, rgb, variable } from "./canvas";
import { largest } from "./largest";
import { INPUTS, OUTPUTS } from "./names";
import { type Layout, layOut, linearTo, type Picked } from "./picking";
import { thumbnail } from "./thumbnail";

export interface Net {
  /** Units by layer of units, inputs first. */
  sizes: number[];
  param(name: string): Float32Array;
}

const LEVELS = 6;
const EVERY = 125; // ms
const SMALLEST = 5.5; // half a side that a thumbnail can be seen at

let drawn: unknown[] = [];
let due = 0; // when it may be drawn again for new weights alone
let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Units are what those of each layer give over the grid, row by row. Training changes a picture of
 * many lines by little, so that a few frames a second are enough, and leave time for the rest.
 */
export function drawGraph(
  canvas: HTMLCanvasElement,
  net: Net,
  picked: Picked | undefined,
  units?: Float32Array[],
): void {
  clearTimeout(timer);
  const now = performance.now();
  const key = [net, JSON.stringify(picked), !units, canvas.clientWidth, LOOKS.map(variable).join()];
  if (now < due && key.every((part, i) => part === drawn[i])) {
    timer = setTimeout(() => paint(canvas, net, picked, units), due - now);
    return;
  }
  drawn = key;
  due = now + EVERY;
  paint(canvas, net, picked, units);
}

function paint(
  canvas: HTMLCanvasElement,
  net: Net,
  picked: Picked | undefined,
  units?: Float32Array[],
): void {
  const [g, width, height] = begin(canvas);
  const { sizes } = net;
  const layout = layOut(sizes, width, height);
  if (picked?.from !== undefined) strokeEdge(g, layout, picked);
  for (let layer = 1; layer < sizes.length; layer++) {
    strokeEdges(g, layout, layer, sizes[layer - 1]!, net.param(`${linearTo(layer)}.weight`));
  }
  sizes.forEach((count, layer) => {
    const bias = layer ? net.param(`${linearTo(layer)}.bias`) : new Float32Array(count);
    const most = largest(bias);
    for (let unit = 0; unit < count; unit++) {
      const chosen = picked?.layer === layer && picked.unit === unit && picked.from === undefined;
      const share = Math.abs(bias[unit]!) / most;
      if (units && layout.half >= SMALLEST) {
        thumbnail(g, layout, layer, unit, (cell) => units[layer]![cell * count + unit]!);
      } else {
        outline(g, layout, layer, unit);
        g.fillStyle = variable("card");
        g.fill();
        g.fillStyle = rgb(bias[unit]! > 0 ? 1 : 0, share);
        g.fill();
      }
      g.strokeStyle = variable(chosen ? "ink" : "soft");
      g.lineWidth = chosen ? 3 : 1;
      g.stroke();
    }
  });
  nameEnds(g, layout, sizes);
}

/** Lines of a layer, by colour and width: values are row by row, a row for each unit. */
export function strokeEdges(
  g: CanvasRenderingContext2D,
  { at }: Layout,
  layer: number,
  inputs: number,
  values: ArrayLike<number>,
  most = largest(values),
): void {
  const few = values.length < 50;
  // A path for each colour and width, since a call for each line takes too long.
  const paths = Array.from({ length: 2 * LEVELS }, () => new Path2D());
  for (let i = 0; i < values.length; i++) {
    const level = Math.min(Math.floor((LEVELS * Math.abs(values[i]!)) / most), LEVELS - 1);
    if (!(level > 0 || (few && values[i]))) continue; // too pale to be seen
    const path = paths[2 * level + (values[i]! > 0 ? 1 : 0)]!;
    path.moveTo(...at(layer - 1, i % inputs));
    path.lineTo(...at(layer, Math.floor(i / inputs)));
  }
  paths.forEach((path, i) => {
    const share = ((i >> 1) + 0.5) / LEVELS;
    g.strokeStyle = rgb(i % 2, share);
    g.lineWidth = (few ? 4 : 2) * share;
    g.stroke(path);
  });
}

/** Marks the line that is picked; its colour comes on it. */
export function strokeEdge(
  g: CanvasRenderingContext2D,
  { at }: Layout,
  { layer, unit, from }: Picked,
): void {
  g.strokeStyle = variable("ink");
  g.lineWidth = 5;
  g.beginPath();
  g.moveTo(...at(layer - 1, from!));
  g.lineTo(...at(layer, unit));
  g.stroke();
}

/** What is an input, and what an output. */
export function nameEnds(g: CanvasRenderingContext2D, { at, half }: Layout, sizes: number[]): void {
  g.fillStyle = variable("ink");
  g.textBaseline = "middle";
  for (const [layer, names, side] of [
    [0, INPUTS, -1],
    [sizes.length - 1, OUTPUTS, 1],
  ] as const) {
    g.textAlign = side < 0 ? "right" : "left";
    names.forEach((name, unit) => {
      const [x, y] = at(layer, unit);
      g.fillText(name, x + side * (half + 5), y);
    });
  }
}

function outline(g: CanvasRenderingContext2D, { at, half }: Layout, layer: number, unit: number) {
  g.beginPath();
  g.arc(...at(layer, unit), Math.min(half, 8), 0, 2 * Math.PI);
}
