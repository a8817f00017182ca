/** The guided tour: takes the page from stop to stop. */

import { element, say } from "../elements";
import type { Microscope } from "./microscope";
import { type Stop, stopsOf } from "./stops";
import { wayThrough } from "./way";

export function mountTour(microscope: Microscope): void {
  const box = element("tour");
  let at = 0;
  let stops: Stop[] = [];

  const begin = async () => {
    element<HTMLSelectElement>("microscope-sample").selectedIndex = 1; // if it is there already
    await microscope.player.small();
    if (microscope.open) await microscope.take();
    else await microscope.show(true);
    if (!microscope.step) return;
    box.hidden = false;
    element<HTMLSelectElement>("microscope-sample").disabled = true;
    element("tour-next").focus({ preventScroll: true });
    element("microscope-split").scrollIntoView({ block: "start" });
    go(0);
  };
  const write = () => {
    if (!microscope.step) return;
    stops = stopsOf(wayThrough(microscope.step));
    const { title, text } = stops[at]!;
    say("tour-title", title);
    say("tour-count", `${at + 1} of ${stops.length}`);
    say("tour-next", at + 1 < stops.length ? "Next" : "Done");
    element<HTMLButtonElement>("tour-back").disabled = at === 0;
    element("tour-text").replaceChildren(
      ...text.map((sentences) => {
        const paragraph = document.createElement("p");
        paragraph.textContent = sentences;
        return paragraph;
      }),
    );
  };
  const go = (to: number) => {
    if (to < 0) return;
    if (to === stops.length && to) return close();
    at = to;
    write();
    const { phase, layer, picked } = stops[at]!;
    const stage = microscope.stages.findIndex(
      (stage) => stage.phase === phase && (layer === undefined || stage.layer === layer),
    );
    microscope.showStage(stage, picked);
  };
  const close = () => {
    box.hidden = true;
    element<HTMLSelectElement>("microscope-sample").disabled = false;
    element("microscope-tour").focus();
  };

  microscope.onStep = () => {
    if (!box.hidden) write();
  };
  element("microscope-tour").addEventListener("click", begin);
  element("tour-next").addEventListener("click", () => go(at + 1));
  element("tour-back").addEventListener("click", () => go(at - 1));
  element("tour-close").addEventListener("click", close);
  box.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowRight") go(Math.min(at + 1, stops.length - 1));
    if (key === "ArrowLeft") go(at - 1);
  });
  element("microscope").addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && !box.hidden) close();
  });
}
