/** The stages of a step, one for each layer on each way. */

import { nameOfLayer } from "../names";

export interface Stage {
  phase: "inputs" | "forward" | "loss" | "backward" | "update";
  /** Of the Sequential. The loss's way back counts as one after the last. */
  layer: number;
  name: string;
  /** What happens, in a sentence or two. */
  says: string;
}

export function stagesOf(sizes: number[], activation: string): Stage[] {
  const layers = Array.from({ length: 2 * sizes.length - 3 }, (_, k) => k);
  const named = (k: number) =>
    `${nameOfLayer(sizes, Math.floor(k / 2) + 1)}, ${k % 2 ? activation : "linear"}`;
  const end = layers.length;
  return [
    { phase: "inputs", layer: -1, name: "Inputs", says: "The values enter: where the point is." },
    ...layers.map(
      (k): Stage => ({
        phase: "forward",
        layer: k,
        name: `Forward: ${named(k)}`,
        says:
          k % 2
            ? `Each unit puts its sum z through ${activation}, which gives its value a.`
            : "Each edge carries a value times its weight. Each unit adds up what arrives, and its bias: z.",
      }),
    ),
    {
      phase: "loss",
      layer: end,
      name: "Loss",
      says: "One number says how far the outputs are from their targets: the mean of the squared errors.",
    },
    {
      phase: "backward",
      layer: end,
      name: "Backward: loss",
      says: "The way back begins. An output’s cotangent says how fast the loss grows as the output does.",
    },
    ...layers.reverse().map(
      (k): Stage => ({
        phase: "backward",
        layer: k,
        name: `Backward: ${named(k)}`,
        says: backward(k, activation),
      }),
    ),
    {
      phase: "update",
      layer: -1,
      name: "Update",
      says: "Each weight and bias moves against its gradient, by the learning rate times it.",
    },
  ];
}

function backward(k: number, activation: string): string {
  if (k % 2) return `Each unit’s cotangent goes back through ${activation}: times its slope at z.`;
  const made = "the cotangent at its end × the value at its start.";
  if (!k) return `Each edge’s gradient is made: ${made} Nothing needs to flow further back.`;
  return `Along each edge flows back the cotangent at its end × the weight; each unit adds up what comes. And each edge’s gradient is made: ${made}`;
}
