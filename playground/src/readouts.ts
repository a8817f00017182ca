/** Training in figures. */

import { say } from "./elements";
import { linearTo, type Picked } from "./graph";
import { page } from "./page";
import type { Training } from "./training";

const UNKNOWN = "–";
const whole = (n: number) => n.toLocaleString("en");

export function showProgress(training: Training, theirs: ArrayLike<number>): void {
  const { steps, stepsPerEpoch, losses, comparable } = training;
  say("at", whole(steps));
  say("at-epoch", stepsPerEpoch ? whole(Math.floor(steps / stepsPerEpoch)) : UNKNOWN);
  say("loss", losses.at(-1)?.toFixed(5) ?? UNKNOWN);
  const compared = Math.min(steps, theirs.length, comparable);
  let most = 0;
  for (let i = 0; i < compared; i++) most = Math.max(most, Math.abs(losses[i]! / theirs[i]! - 1));
  say("difference", compared ? `${most.toExponential(1)} in ${whole(compared)} steps` : UNKNOWN);
}

export function showWrong(kind: "training" | "test", wrong: number, all: number): void {
  say(`wrong-${kind}`, `${whole(wrong)} of ${whole(all)}`);
}

export function showPicked(training: Training, picked: Picked | undefined): void {
  say("picked", picked ? described(training, picked) : "");
}

function described(training: Training, { layer, unit, from }: Picked): string {
  if (layer === 0) return `input ${unit}`;
  const key = linearTo(layer);
  const leaf = (name: string, i: number, index: string) => {
    const gradient = training.gradient(name, i)?.toExponential(2) ?? UNKNOWN;
    return `${name}[${index}] = ${training.param(name)[i]!.toFixed(4)}, gradient ${gradient}`;
  };
  if (from === undefined) return leaf(`${key}.bias`, unit, `${unit}`);
  return leaf(`${key}.weight`, unit * page.sizes[layer - 1]! + from, `${unit}, ${from}`);
}
