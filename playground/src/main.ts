/** The page: what plays, what shows it, and what the visitor does. */

import { connect, enable, showSetup } from "./controls";
import { element, say } from "./elements";
import { showLayers } from "./layers";
import { sizesOf, toHash } from "./link";
import { mountMicroscope } from "./microscope/mount";
import { loadPage } from "./page";
import { followBrush, nearest } from "./painting";
import { followPointer } from "./picking";
import { Player } from "./player";
import { load } from "./runtime";
import { View } from "./view";

const query = new URLSearchParams(location.search);
const embedded = query.has("embed"); // in another page, of which it is a part
const apart = embedded && query.has("microscope"); // which is then all there is
document.documentElement.classList.toggle("embedded", embedded);
document.documentElement.classList.toggle("apart", apart);

async function start(): Promise<void> {
  const page = await loadPage();
  const view = new View();
  const player = new Player(page, {
    async draw() {
      if (!apart) await view.draw(player);
      microscope.changed();
    },
    playing: (is) => say("play", is ? "Pause" : "Play"),
    began(state) {
      showSetup(page, { ...state, lr: player.training.course.lr });
      showLayers(element("cards"), page, state.activation, sizesOf(page, state));
    },
    status: (text) => say("status", text),
  });
  /** Runs it, and tells what goes wrong. */
  const attempt =
    <T extends unknown[]>(action: (...values: T) => unknown) =>
    async (...values: T) => {
      try {
        await action(...values);
      } catch (error) {
        player.fail(error);
        showSetup(page, player.training.state);
      }
    };
  addEventListener("unhandledrejection", ({ reason }) => player.fail(reason));
  const microscope = mountMicroscope({
    pass: (sample) => player.pass(sample),
    advance: () => player.advance(),
    pause: () => player.pause(),
    small: () => player.small(),
    lineOf: (layer, what) => (page.lines[layer] ?? []).filter((line) => line.what === what),
  });

  connect(page, page.report.lr, player.speed, {
    play: attempt(() => player.toggle()),
    step: attempt(() => player.advance()),
    epoch: attempt(() => player.advance(player.training.stepsPerEpoch || 1)),
    reset: attempt(() => {
      player.pause();
      return player.restart();
    }),
    clear: attempt(() => player.change("clear")),
    restore: attempt(() => player.change("restore")),
    link: attempt(() => {
      history.replaceState(null, "", location.search + toHash(player.training.state));
      navigator.clipboard?.writeText(location.href).catch(() => undefined);
      say("status", "The address of this page now leads to this very state.");
    }),
    setup: attempt((other) => player.restart(other)),
    lr: attempt((lr) =>
      // Before the first step, there is nothing to change yet.
      player.training.steps ? player.change("lr", lr) : player.restart({ lr }),
    ),
    speed: (stepsPerSecond) => (player.speed = stepsPerSecond),
  });
  followPointer(
    element("graph"),
    () => player.training.sizes,
    (picked) => {
      view.picked = picked;
      player.wake();
    },
  );
  followBrush(element("square"), {
    put(place, reach) {
      const { course } = player.training;
      const own = course.points.filter((p) => course.isOwn(p));
      const found = own[nearest(own, place, reach)];
      if (found) {
        player.change("remove", course.points.indexOf(found));
        return "removed";
      }
      const chosen = document.querySelector<HTMLInputElement>("[name=class]:checked")!;
      player.change("add", place.x, place.y, Number(chosen.value));
      return "added";
    },
    moved(cursor) {
      view.cursor = cursor;
      player.wake();
    },
  });
  const redraw = () => player.wake();
  element("test").addEventListener("change", redraw);
  addEventListener(
    "hashchange",
    attempt(() => player.open(location.hash)),
  );
  addEventListener("resize", redraw);
  for (const look of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(look).addEventListener("change", redraw);
  }

  await player.open(location.hash);
  if (!("WebAssembly" in window)) throw new Error("this browser has no WebAssembly");
  const progress = element<HTMLProgressElement>("progress");
  await load((share) => {
    if (Number.isFinite(share)) progress.value = share;
    else progress.removeAttribute("value");
  });
  player.ready = true;
  enable();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (query.has("microscope")) await microscope.show();
  else if (still || embedded || location.hash) player.wake();
  else player.toggle();
}

start()
  .catch((error: Error) => say("status", `It can’t train: ${error.message}.`))
  .finally(() => (element("loading").hidden = true));
