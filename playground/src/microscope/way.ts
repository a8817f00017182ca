/** The way that the guided tour follows: into one unit of the last hidden layer, and to an output. */

import { INPUTS, nameOf, OUTPUTS } from "../names";
import { linearTo } from "../picking";
import { ACTIVATIONS } from "./activations";
import type { Step } from "./step";

/** What is known of it, on the way there and back. */
export interface Way {
  activation: string;
  /** The layer of units and its unit; the linear layer into it; the output that it leads to. */
  layer: number;
  unit: number;
  linear: number;
  output: number;
  /** What they are called: the unit, the first that feeds it, and the output. */
  name: string;
  from: string;
  to: string;
  inputs: [name: string, value: number][];
  outputs: [name: string, value: number, target: number][];
  /** Where the point is. */
  right: string;
  loss: number;
  lr: number;
  /** What comes from the first that feeds the unit, by this weight; and by that weight it goes on. */
  value: number;
  weight: number;
  onward: number;
  z: number;
  a: number;
  slope: number;
  /** The cotangents of the output, of a, of z; the gradient of the weight, and what it becomes. */
  ofOutput: number;
  ofA: number;
  ofZ: number;
  gradient: number;
  after: number;
}

export function wayThrough(step: Step): Way {
  const { sizes, activation, targets, before, gradients, after, loss, lr } = step.pass;
  const layer = sizes.length - 2;
  const linear = linearTo(layer);
  const back = step.cotangents[linear]!.map(Math.abs);
  const unit = Math.max(back.indexOf(Math.max(...back)), 0); // where most comes back
  const output = 1;
  const [values, outputs] = [step.values[linear + 1]!, step.values[linear + 2]!];
  const z = step.values[linear]![unit]!;
  const first = unit * sizes[layer - 1]!;
  const name = `${linear}.weight`;
  return {
    activation,
    layer,
    unit,
    linear,
    output,
    name: nameOf(sizes, layer, unit),
    from: nameOf(sizes, layer - 1, 0),
    to: OUTPUTS[output]!,
    inputs: step.inputs.map((value, i) => [INPUTS[i]!, value]),
    outputs: outputs.map((value, i) => [OUTPUTS[i]!, value, targets[i]!]),
    right: OUTPUTS[targets[output]! ? 1 : 0]!,
    loss,
    lr,
    value: step.into(linear)[0]!,
    weight: before[name]![first]!,
    onward: before[`${linear + 2}.weight`]![output * sizes[layer]! + unit]!,
    z,
    a: values[unit]!,
    slope: ACTIVATIONS[activation]!.slope(z),
    ofOutput: step.cotangents[linear + 2]![output]!,
    ofA: step.cotangents[linear + 1]![unit]!,
    ofZ: step.cotangents[linear]![unit]!,
    gradient: gradients[name]![first]!,
    after: after[name]![first]!,
  };
}
