/** A training step, taken apart. Arrays are row-major; rows are samples. */
export interface Pass {
  /** Which it is, from 1 on. */
  step: number;
  /** Units by layer of units, inputs first. */
  sizes: number[];
  /** The library's name of it: "relu", "tanh", … */
  activation: string;
  samples: number;
  lr: number;
  loss: number;
  inputs: Float32Array;
  targets: Float32Array;
  /** What layer k of the Sequential gives: 0 is linear, 1 the activation, 2 linear, … */
  values: Float32Array[];
  /** dL / d values[k]. */
  cotangents: Float32Array[];
  /** "0.weight", "0.bias", "2.weight", … */
  gradients: Record<string, Float32Array>;
  /** The params that it began with, under the same names. */
  before: Record<string, Float32Array>;
  /** A learning rate times the gradients later. */
  after: Record<string, Float32Array>;
}
