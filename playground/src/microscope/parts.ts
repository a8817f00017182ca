/** What sums are written from. */

import { factor, number } from "./numbers";
import type { Step } from "./step";

/** What of a layer a line of the library computes. */
export type What = "value" | "weight" | "bias" | "input";

export interface Term {
  text: string;
  value: number;
}

export interface Written {
  /** What the number is. */
  title: string;
  formula: string;
  /** Their sum, times scale, is the value. */
  terms: Term[];
  scale: number;
  /** How the scale is written, after the sum in brackets. */
  scaled: string;
  /** The step's own number. */
  value: number;
  /** The way it goes along an edge, if it does. */
  arrow?: "→" | "←";
  /** The layer by its name in the library, and what of it. */
  computedBy?: [layer: string, what: What];
}

/** A number and its formula, of terms that are added as they are. */
export const plain = (title: string, formula: string) => ({ title, formula, scale: 1, scaled: "" });

export const mean = ({ pass: { samples } }: Step) =>
  samples > 1 ? { scale: 1 / samples, scaled: `/ ${samples}` } : { scale: 1, scaled: "" };

export const meanOf = ({ pass: { samples } }: Step) =>
  samples > 1 ? `, mean of ${samples} samples` : "";
export const sumOf = ({ pass: { samples } }: Step) =>
  samples > 1 ? `, sum of ${samples} samples` : "";
export const over = ({ pass: { samples } }: Step) => (samples > 1 ? "Σ over samples of " : "");

export const source = (layer: number) => (layer === 1 ? "input" : "value");

export const product = (a: number, b: number): Term => ({
  text: `${factor(a)} × ${factor(b)}`,
  value: a * b,
});

export const minus = (a: number, b: number) => `${number(a)} − ${factor(b)}`;

export function column(rows: Float32Array, samples: number, column: number): number[] {
  const columns = rows.length / samples;
  return Array.from({ length: samples }, (_, i) => rows[i * columns + column]!);
}
