/** What a network shows of a step at a stage of it. */

import type { Pass } from "../pass";
import { linearTo } from "../picking";
import type { Stage } from "./stages";

export type Kind = "x" | "z" | "a" | "cotangent" | "weight" | "gradient" | "change";

export interface Shown {
  kind: Kind;
  /** A number for each unit, or for each edge, row by row. */
  numbers: ArrayLike<number>;
}

/** A pass with its samples taken together: the mean of values, the sum of cotangents. */
export class Step {
  readonly inputs: number[];
  readonly values: number[][];
  readonly cotangents: number[][];
  private readonly changes: Record<string, number[]>;

  constructor(readonly pass: Pass) {
    const { samples, lr, inputs, values, cotangents, gradients } = pass;
    const mean = (rows: Float32Array) => sum(rows, samples).map((v) => v / samples);
    this.inputs = mean(inputs);
    this.values = values.map(mean);
    this.cotangents = cotangents.map((rows) => sum(rows, samples));
    this.changes = Object.fromEntries(
      Object.entries(gradients).map(([name, g]) => [name, Array.from(g, (v) => -lr * v)]),
    );
  }

  /** What goes into a linear layer. */
  into(linear: number): number[] {
    return linear ? this.values[linear - 1]! : this.inputs;
  }

  /** What a layer of units shows, if it has anything yet. */
  units(stage: Stage, layer: number): Shown | undefined {
    if (layer === 0) return { kind: "x", numbers: this.inputs };
    const linear = linearTo(layer);
    const last = linear + 1 === this.values.length;
    const activation = linear + 1;
    const { phase } = stage;
    if (phase === "update") return { kind: "change", numbers: this.changes[`${linear}.bias`]! };
    if (phase === "backward") {
      // The last layer's comes from the loss, another's from the linear layer after it.
      if (stage.layer <= activation)
        return { kind: "cotangent", numbers: this.cotangents[linear]! };
      if (!last && stage.layer <= activation + 1) {
        return { kind: "cotangent", numbers: this.cotangents[activation]! };
      }
    }
    const reached = phase === "inputs" ? -1 : phase === "forward" ? stage.layer : Infinity;
    if (reached >= activation && !last) return { kind: "a", numbers: this.values[activation]! };
    if (reached >= linear) return { kind: "z", numbers: this.values[linear]! };
    return undefined;
  }

  /** What the edges to a layer of units show. */
  edges(stage: Stage, layer: number): Shown {
    const linear = linearTo(layer);
    const name = `${linear}.weight`;
    if (stage.phase === "update") return { kind: "change", numbers: this.changes[name]! };
    if (stage.phase === "backward" && stage.layer <= linear) {
      return { kind: "gradient", numbers: this.pass.gradients[name]! };
    }
    return { kind: "weight", numbers: this.pass.before[name]! };
  }
}

function sum(rows: Float32Array, samples: number): number[] {
  const columns = rows.length / samples;
  return Array.from({ length: columns }, (_, column) => {
    let total = 0;
    for (let i = column; i < rows.length; i += columns) total += rows[i]!;
    return total;
  });
}
