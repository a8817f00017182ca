/** What is drawn of a step. */

import type { Picked } from "../picking";
import type { Stage } from "./stages";
import type { Step } from "./step";

export interface Scene {
  step: Step;
  stages: Stage[];
  /** The stage that is shown, or is on its way. */
  at: number;
  /** How much of it is there. */
  share: number;
  picked: Picked | undefined;
}

const ARRIVED = 0.8;

/** The stage whose numbers are seen: the one before, until those of the next arrive. */
export const seen = ({ stages, at, share }: Scene): Stage => stages[share < ARRIVED ? at - 1 : at]!;
