/** Which of a batch's samples are shown: one of them, or all. */

import { element } from "../elements";
import { OUTPUTS } from "../names";
import type { Pass } from "../pass";
import type { Player } from "./microscope";
import { number } from "./numbers";

/** The pass of what is chosen. */
export async function passShown(player: Pick<Player, "pass">): Promise<Pass> {
  const batch = await player.pass();
  const sample = offer(batch.samples);
  return sample === undefined ? batch : player.pass(sample);
}

/** So many to choose from; returns the one that is chosen, or none for all. */
function offer(samples: number): number | undefined {
  const select = element<HTMLSelectElement>("microscope-sample");
  if (select.options.length !== samples + 1) {
    const chosen = Math.min(select.selectedIndex, samples);
    const ones = Array.from(
      { length: samples },
      (_, i) => new Option(`sample ${i + 1}`, String(i)),
    );
    select.replaceChildren(new Option("the whole batch", ""), ...ones);
    select.selectedIndex = chosen < 0 ? 1 : chosen;
  }
  return select.selectedIndex ? select.selectedIndex - 1 : undefined;
}

/** The step that is shown, and its points, in words. */
export function whichOf({ step, samples, inputs, targets }: Pass): string {
  const which = `Step ${step.toLocaleString("en")}`;
  if (samples > 1) return `${which}, with the ${samples} points of its batch.`;
  const [place, wanted] = [inputs, targets].map((all) => Array.from(all, (v) => number(v, 3)));
  const goals = OUTPUTS.map((name, i) => `${name} ${wanted![i]}`).join(" and ");
  return `${which}, with the point (${place!.join(", ")}). The targets are ${goals}.`;
}

/** Whether they are of the same step and of the same points; the loss tells of all the params. */
export const same = (a: Pass, b: Pass) =>
  (["step", "loss", "lr", "activation"] as const).every((key) => a[key] === b[key]) &&
  a.inputs.join() === b.inputs.join();
