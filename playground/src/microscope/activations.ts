/** Activations as they are written out: what is done to z, and the slope there. */

import { factor, number } from "./numbers";

interface Activation {
  value(z: number): number;
  slope(z: number): number;
  /** The value's formula at z, and the slope's at z and a. */
  writtenValue(z: number): string;
  writtenSlope(z: number, a: number): string;
  formula: [value: string, slope: string];
}

const called = (name: string) => (z: number) => `${name}(${number(z)})`;
const logistic = (z: number) => 1 / (1 + Math.exp(-z));

const gelu = {
  value: (z: number) => z * normal(z),
  slope: (z: number) => normal(z) + (z * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI),
};

export const ACTIVATIONS: Record<string, Activation> = {
  relu: {
    value: (z) => Math.max(z, 0),
    slope: (z) => (z > 0 ? 1 : 0),
    writtenValue: (z) => `max(${number(z)}, 0)`,
    writtenSlope: (z) => (z > 0 ? "1" : "0"),
    formula: ["max(z, 0)", "1 where z > 0, else 0"],
  },
  leaky_relu: {
    value: (z) => (z > 0 ? z : 0.01 * z),
    slope: (z) => (z > 0 ? 1 : 0.01),
    writtenValue: (z) => (z > 0 ? number(z) : `0.01 × ${factor(z)}`),
    writtenSlope: (z) => (z > 0 ? "1" : "0.01"),
    formula: ["z where z > 0, else 0.01 z", "1 where z > 0, else 0.01"],
  },
  tanh: {
    value: Math.tanh,
    slope: (z) => 1 - Math.tanh(z) ** 2,
    writtenValue: called("tanh"),
    writtenSlope: (_, a) => `(1 − ${factor(a)}²)`,
    formula: ["tanh(z)", "1 − a²"],
  },
  sigmoid: {
    value: logistic,
    slope: (z) => logistic(z) * logistic(-z),
    writtenValue: called("sigmoid"),
    writtenSlope: (_, a) => `${number(a)} × (1 − ${number(a)})`,
    formula: ["sigmoid(z)", "a (1 − a)"],
  },
  gelu: {
    ...gelu,
    writtenValue: called("gelu"),
    writtenSlope: (z) => number(gelu.slope(z)),
    formula: ["z Φ(z)", "Φ(z) + z φ(z)"],
  },
};

/** P(Z ≤ z) of a standard normal Z: a series near 0, a continued fraction far from it. */
function normal(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (Math.abs(z) > 4) {
    let tail = 0;
    for (let k = 30; k > 0; k--) tail = k / (Math.abs(z) + tail);
    tail = density / (Math.abs(z) + tail);
    return z > 0 ? 1 - tail : tail;
  }
  let [term, sum] = [z, z];
  for (let k = 3; Math.abs(term) > 1e-17; k += 2) sum += term *= (z * z) / k;
  return 0.5 + density * sum;
}
