/** The stops of the guided tour: what flows back along an edge, told from nothing on. */

import type { Picked } from "../picking";
import { factor, number } from "./numbers";
import type { Stage } from "./stages";
import type { Way } from "./way";

export interface Stop {
  title: string;
  text: string[];
  /** What is shown: a stage, and what is picked at it. */
  phase: Stage["phase"];
  layer?: number;
  picked?: Picked;
}

export function stopsOf(way: Way): Stop[] {
  const { layer, unit, output, linear } = way;
  const itself: Picked = { layer, unit };
  const end: Picked = { layer: layer + 1, unit: output };
  const incoming: Picked = { layer, unit, from: 0 };
  const onward: Picked = { layer: layer + 1, unit: output, from: unit };
  return [
    {
      title: "A point goes in",
      text: [
        `A network is shown a point and is to say whether it lies inside or outside. The point’s coordinates enter at the left: ${listed(way.inputs)}.`,
        `Each circle is a unit, and the number on it is its value. This point lies ${way.right}, but the network doesn’t know that yet.`,
      ],
      phase: "inputs",
    },
    {
      title: "Values flow forward",
      text: [
        `Each line is an edge and has a weight. A value that flows along it is multiplied by the weight: from ${way.from} to ${way.name} goes ${product(way.value, way.weight)}.`,
        `The unit adds up what arrives, and a number of its own, its bias. The sum is z = ${number(way.z)}.`,
      ],
      phase: "forward",
      layer: linear,
      picked: itself,
    },
    {
      title: "Each unit bends its sum",
      text: [
        `Then ${way.name} puts its sum through a curve, ${way.activation}: its value is a = ${number(way.a)}, and that flows on to the right.`,
        "Without such bends, the network could only tell points apart along a straight line.",
      ],
      phase: "forward",
      layer: linear + 1,
      picked: itself,
    },
    {
      title: "How wrong is it?",
      text: [
        `The outputs are ${listed(way.outputs)}. For this point they should be ${way.outputs.map(([, , target]) => number(target)).join(" and ")}.`,
        `The loss is the mean of the squared differences, ${number(way.loss)}: one number for how wrong that is. To train is to make it smaller. But which weights are to change, and which way?`,
      ],
      phase: "loss",
      picked: end,
    },
    {
      title: "The way back begins",
      text: [
        `Suppose the output ${way.to} grew a little. The loss would change ${number(way.ofOutput)} times as much. This rate is the output’s cotangent.`,
        way.ofOutput < 0
          ? "It is negative: if this output grew, the loss would shrink."
          : "It is positive: if this output grew, the loss would grow too.",
      ],
      phase: "backward",
      layer: linear + 3,
      picked: end,
    },
    {
      title: "What flows back along an edge",
      text: [
        `If the value of ${way.name} grew a little, the output ${way.to} would grow ${number(way.onward)} times as much, for that is the weight between them. So the loss would change ${product(way.ofOutput, way.onward)} times as much.`,
        "This is what flows back along an edge: the cotangent at its end times its weight.",
        `And ${way.name} adds up what comes back along all its edges. The sum is its own cotangent, ${number(way.ofA)}.`,
      ],
      phase: "backward",
      layer: linear + 2,
      picked: onward,
    },
    {
      title: "Each weight gets its gradient",
      text: [
        `Through ${way.activation}, the cotangent is multiplied by the curve’s slope there: ${product(way.ofA, way.slope)} is the cotangent of z.`,
        `If the weight of the edge from ${way.from} grew a little, z would grow ${number(way.value)} times as much: that is the value at the edge’s start. So the loss would change ${product(way.ofZ, way.value)} times as much. This is the weight’s gradient.`,
      ],
      phase: "backward",
      layer: linear,
      picked: incoming,
    },
    {
      title: "A small step downhill",
      text: [
        `The gradient says which way the loss grows, so the weight goes the other way, by a part of it, the learning rate of ${number(way.lr)}: ${number(way.weight)} becomes ${number(way.after)}.`,
        "All weights and biases do so at once. Then other points go in: that is training.",
        "So, what flows back along an edge? The cotangent at its end times its weight: how the loss changes with the value at its start.",
      ],
      phase: "update",
      picked: incoming,
    },
  ];
}

const product = (a: number, b: number) => `${factor(a)} × ${factor(b)} = ${number(a * b)}`;

const listed = (all: [name: string, value: number, ...rest: unknown[]][]) =>
  all.map(([name, value]) => `${name} = ${number(value)}`).join(" and ");
