/** The sum that makes a number of a step, written out with its numbers. */

import { keyOfWeight, nameOf, nameOfEdge } from "../names";
import { linearTo, type Picked } from "../picking";
import * as backward from "./backward";
import * as forward from "./forward";
import type { Written } from "./parts";
import type { Stage } from "./stages";
import type { Step } from "./step";

/** What there is to write of a unit or an edge at a stage; nothing where nothing is known yet. */
export function written(step: Step, stage: Stage, picked: Picked): Written[] {
  if (picked.from !== undefined) return ofEdge(step, stage, picked as Required<Picked>);
  return picked.layer ? ofUnit(step, stage, picked) : [forward.given(step, picked.unit)];
}

function ofUnit(step: Step, stage: Stage, { layer, unit }: Picked): Written[] {
  const { pass } = step;
  const linear = linearTo(layer);
  const last = layer === pass.sizes.length - 1;
  switch (stage.phase) {
    case "update":
      return [
        backward.updated(
          step,
          `${linear}.bias`,
          unit,
          `The bias of ${nameOf(pass.sizes, layer, unit)}`,
        ),
      ];
    case "backward":
      if (stage.layer <= linear) {
        return [
          backward.cotangentOfSum(step, layer, unit),
          backward.gradientOfBias(step, layer, unit),
        ];
      }
      if (stage.layer === linear + 1) return [backward.cotangentOfSum(step, layer, unit)];
      if (stage.layer === linear + 2) return [backward.cotangentOfValue(step, layer, unit)];
      break;
    case "loss":
      if (last) return [forward.loss(step)];
  }
  const shown = step.units(stage, layer);
  if (!shown) return [];
  return [
    shown.kind === "a" ? forward.activated(step, layer, unit) : forward.weighted(step, layer, unit),
  ];
}

function ofEdge(step: Step, stage: Stage, edge: Required<Picked>): Written[] {
  const linear = linearTo(edge.layer);
  const name = `${linear}.weight`;
  const i = edge.unit * step.pass.sizes[edge.layer - 1]! + edge.from;
  if (stage.phase === "update") {
    return [
      backward.updated(
        step,
        name,
        i,
        `The weight of the edge ${nameOfEdge(step.pass.sizes, edge)}, ${keyOfWeight(edge)}`,
      ),
    ];
  }
  const before = stage.phase === "inputs" || (stage.phase === "forward" && stage.layer < linear);
  if (before) return [forward.weight(step, edge, i)];
  if (stage.phase !== "backward" || stage.layer > linear) return [forward.carried(step, edge, i)];
  const gradient = backward.gradientOfWeight(step, edge, i);
  return linear ? [backward.carriedBack(step, edge, i), gradient] : [gradient];
}
