/** What units and edges are called. */

import { linearTo, type Picked } from "./picking";

export const INPUTS = ["x₁", "x₂"];
export const OUTPUTS = ["outside", "inside"];

/** Of a layer of units. */
export function nameOfLayer(sizes: number[], layer: number): string {
  if (layer === 0) return "inputs";
  if (layer === sizes.length - 1) return "outputs";
  return sizes.length > 3 ? `hidden layer ${layer}` : "hidden layer";
}

export function nameOf(sizes: number[], layer: number, unit: number): string {
  if (layer === 0) return INPUTS[unit]!;
  if (layer === sizes.length - 1) return OUTPUTS[unit]!;
  return `unit ${unit + 1}${sizes.length > 3 ? ` of ${nameOfLayer(sizes, layer)}` : ""}`;
}

export function nameOfEdge(sizes: number[], { layer, unit, from }: Required<Picked>): string {
  return `${nameOf(sizes, layer - 1, from)} → ${nameOf(sizes, layer, unit)}`;
}

/** As state_dict has it. */
export const keyOfWeight = ({ layer, unit, from }: Required<Picked>) =>
  `${linearTo(layer)}.weight[${unit}, ${from}]`;
