/** The microscope's buttons, slider, pointer and keys. */

import { element } from "../elements";
import { Microscope, type Player } from "./microscope";
import { mountTour } from "./tour";

export function mountMicroscope(player: Player): { changed(): void; show(): Promise<void> } {
  const microscope = new Microscope(player);
  const on = (id: string, action: () => unknown) =>
    element(`microscope-${id}`).addEventListener("click", action);
  on("open", () => microscope.show(!microscope.open));
  on("play", () => microscope.toggle());
  on("back", () => microscope.goTo(microscope.at - 1));
  on("next", () => microscope.goTo(microscope.at + 1));
  on("advance", () => player.advance());
  const range = element<HTMLInputElement>("microscope-stage");
  range.addEventListener("input", () => microscope.goTo(Number(range.value)));
  element("microscope-sample").addEventListener("change", () => microscope.take());

  const canvas = element("microscope-canvas");
  canvas.addEventListener("click", (event) => {
    const { offsetX, offsetY, pointerType } = event as PointerEvent;
    microscope.pickAt(offsetX, offsetY, pointerType);
  });
  canvas.addEventListener("keydown", (event) => {
    if (microscope.pickBy(event.key, event.shiftKey)) event.preventDefault();
  });
  element("microscope-body").addEventListener("keydown", (event) => {
    const taken = (event.target as Element).closest("button, select");
    if (event.key !== " " || taken) return;
    event.preventDefault(); // and it doesn't play the training
    event.stopPropagation();
    microscope.toggle();
  });
  mountTour(microscope);
  return { changed: () => microscope.changed(), show: () => microscope.show(true) };
}
