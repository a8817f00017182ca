/** What the numbers and colours on the network are, at a stage. */

import { say } from "../elements";
import type { Stage } from "./stages";
import type { Kind, Step } from "./step";

const UNITS: Partial<Record<Kind, string>> = {
  x: "inputs",
  z: "sums z",
  a: "values a",
  cotangent: "cotangents",
  change: "changes of the biases",
};

const EDGES: Partial<Record<Kind, string>> = {
  weight: "weights",
  gradient: "gradients",
  change: "changes of the weights",
};

export function showLegend(step: Step, stage: Stage): void {
  const layers = step.pass.sizes.map((_, layer) => layer);
  const units = layers.map((layer) => UNITS[step.units(stage, layer)?.kind ?? "x"]!);
  const edges = layers.slice(1).map((layer) => EDGES[step.edges(stage, layer).kind]!);
  const many = step.pass.samples > 1;
  const together = many ? " Values are means of the batch’s samples, cotangents their sums." : "";
  say("microscope-units", `Units: ${listed(units)}.`);
  say("microscope-edges", `Edges: ${listed(edges)}.${together}`);
}

const listed = (names: string[]) => [...new Set(names)].join(", ");
