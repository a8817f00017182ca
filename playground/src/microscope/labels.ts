/** Numbers on the network: all of a small one's, else those around what is picked. */

import { variable } from "../canvas";
import type { Layout, Picked, Place } from "../picking";
import { placeOfLoss } from "./dots";
import { number } from "./numbers";
import { type Scene, seen } from "./scene";
import { written } from "./sums";

const ROOM = 16; // half a unit that a number fits in
const EDGES = 9; // of a layer that numbers fit on, if they are as long as
const LONG = 130;

export function drawNumbers(g: CanvasRenderingContext2D, layout: Layout, scene: Scene): void {
  const { step, picked } = scene;
  const { sizes, loss } = step.pass;
  const stage = seen(scene);
  g.font = "11px system-ui, sans-serif";
  sizes.forEach((count, layer) => {
    const numbers = step.units(stage, layer)?.numbers;
    for (let unit = 0; numbers && unit < count; unit++) {
      const [x, y] = layout.at(layer, unit);
      if (layout.half >= ROOM)
        write(g, fitting(g, numbers[unit]!, 2 * layout.half - 4), [x, y], "center");
      else if (!isNear(picked, layer, unit)) continue;
      else if (layer === 0 || layer === sizes.length - 1) {
        write(g, number(numbers[unit]!, 3), [x, y + layout.half + 9], "center", true);
      } else {
        const side = layer < picked!.layer ? -1 : 1;
        const beside = x + side * (layout.half + 3);
        write(g, number(numbers[unit]!, 3), [beside, y], side < 0 ? "right" : "left", true);
      }
    }
    const long = layer && layout.at(layer, 0)[0] - layout.at(layer - 1, 0)[0] >= LONG;
    if (long && count * sizes[layer - 1]! <= EDGES) {
      const { numbers } = step.edges(stage, layer);
      for (let i = 0; i < numbers.length; i++) {
        const edge = {
          layer,
          unit: Math.floor(i / sizes[layer - 1]!),
          from: i % sizes[layer - 1]!,
        };
        if (isEdge(picked, edge)) continue;
        // Spread out along the edges, so that numbers don't meet.
        const share = 0.2 + (0.6 * (edge.unit + 0.5)) / count;
        onEdge(g, layout, edge, number(numbers[i]!, 2), share);
      }
    }
  });
  if (picked?.from !== undefined) {
    onEdge(g, layout, picked as Required<Picked>, ofPicked(scene, picked as Required<Picked>));
  }
  if (!["inputs", "forward"].includes(stage.phase)) {
    const [x, y] = placeOfLoss(layout, sizes);
    g.strokeStyle = variable("soft");
    g.lineWidth = 1;
    g.strokeRect(x - 25, y - 17, 50, 34);
    write(g, "loss", [x, y - 8], "center");
    write(g, fitting(g, loss, 46), [x, y + 8], "center");
  }
}

/** What flows along the edge, with an arrow, or else its own number. */
function ofPicked(scene: Scene, edge: Required<Picked>): string {
  const { step } = scene;
  const { arrow, value } = written(step, seen(scene), edge)[0]!;
  if (arrow) return arrow === "←" ? `← ${number(value, 3)}` : `${number(value, 3)} →`;
  const i = edge.unit * step.pass.sizes[edge.layer - 1]! + edge.from;
  return number(step.edges(seen(scene), edge.layer).numbers[i]!, 3);
}

/** With as many digits, up to three, as there is room for. */
function fitting(g: CanvasRenderingContext2D, value: number, width: number): string {
  const texts = [3, 2].map((digits) => number(value, digits));
  return texts.find((text) => g.measureText(text).width <= width) ?? number(value, 1);
}

function onEdge(
  g: CanvasRenderingContext2D,
  { at }: Layout,
  { layer, unit, from }: Required<Picked>,
  text: string,
  share = 0.5,
): void {
  const [a, b] = [at(layer - 1, from), at(layer, unit)];
  const place = [0, 1].map((axis) => a[axis]! + share * (b[axis]! - a[axis]!)) as Place;
  write(g, text, place, "center", true);
}

const isEdge = (picked: Picked | undefined, { layer, unit, from }: Required<Picked>) =>
  picked?.layer === layer && picked.unit === unit && picked.from === from;

/** Whether a unit's number is beside what is picked: itself, what feeds it, what it feeds. */
function isNear(picked: Picked | undefined, layer: number, unit: number): boolean {
  if (!picked) return false;
  const away = layer - picked.layer;
  if (picked.from === undefined)
    return Math.abs(away) === 1 || (away === 0 && unit === picked.unit);
  return (away === 0 && unit === picked.unit) || (away === -1 && unit === picked.from);
}

function write(
  g: CanvasRenderingContext2D,
  text: string,
  [x, y]: Place,
  align: CanvasTextAlign,
  boxed = false,
): void {
  g.textAlign = align;
  g.textBaseline = "middle";
  if (boxed) {
    const { width } = g.measureText(text);
    const left = align === "center" ? x - width / 2 : align === "right" ? x - width : x;
    g.fillStyle = variable("card");
    g.globalAlpha = 0.85;
    g.fillRect(left - 2, y - 7, width + 4, 14);
    g.globalAlpha = 1;
  }
  g.fillStyle = variable("ink");
  g.fillText(text, x, y);
}
