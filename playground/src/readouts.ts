/** Training in figures. */

import { say } from "./elements";
import { number } from "./microscope/numbers";
import { nameOf, nameOfEdge } from "./names";
import type { Pass } from "./pass";
import { linearTo, type Picked } from "./picking";
import type { Training } from "./training";

const UNKNOWN = "–";
const whole = (n: number) => n.toLocaleString("en");

export function showProgress(training: Training, theirs: ArrayLike<number>): void {
  const { steps, stepsPerEpoch, losses } = training;
  say("at", whole(steps));
  say("at-epoch", stepsPerEpoch ? whole(Math.floor(steps / stepsPerEpoch)) : UNKNOWN);
  say("loss", steps ? number(losses.at(-1)!) : UNKNOWN);
  const compared = Math.min(steps, theirs.length);
  let most = 0;
  for (let i = 0; i < compared; i++) most = Math.max(most, Math.abs(losses[i]! / theirs[i]! - 1));
  say("difference", compared ? `${number(most, 2)} in ${whole(compared)} steps` : UNKNOWN);
}

export function showResult(
  kind: "training" | "test",
  { loss, wrong, all }: { loss: number; wrong: number; all: number },
): void {
  say(`loss-${kind}`, all ? number(loss) : UNKNOWN);
  say(`wrong-${kind}`, `${whole(wrong)} of ${whole(all)}`);
}

/** What is picked: its name, its number, and what the next step's gradient is there. */
export function showPicked(
  training: Training,
  picked: Picked | undefined,
  pass: Pass | undefined,
): void {
  say("picked", picked ? described(training, picked, pass) : "");
}

function described(training: Training, picked: Picked, pass: Pass | undefined): string {
  const { layer, unit, from } = picked;
  const { sizes } = training;
  const name =
    from === undefined ? nameOf(sizes, layer, unit) : nameOfEdge(sizes, { layer, unit, from });
  if (layer === 0) return name;
  const leaf = `${linearTo(layer)}.${from === undefined ? "bias" : "weight"}`;
  const i = from === undefined ? unit : unit * sizes[layer - 1]! + from;
  const gradient = pass ? number(pass.gradients[leaf]![i]!) : UNKNOWN;
  const index = from === undefined ? unit : `${unit}, ${from}`;
  return `${name}: ${leaf}[${index}] = ${number(training.param(leaf)[i]!)}, gradient ${gradient}`;
}
