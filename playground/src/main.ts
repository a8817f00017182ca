/** The page: its present state, and a frame after the other. */

import { connect, enable, showState, START_SPEED } from "./controls";
import { element, say } from "./elements";
import { followPointer } from "./graph";
import { showLayers } from "./layers";
import { fromHash, type State, toHash } from "./link";
import { loadSeed } from "./page";
import { load } from "./runtime";
import { followCursor } from "./square";
import { type Point, pointsOf, Training } from "./training";
import { draw, pointed } from "./view";

const SLICE = 8; // ms of a frame that are for training

let training: Training;
let theirs: Float32Array; // PyTorch's losses
let test: Point[];
let ready = false; // to train
let playing = false;
let until = 0; // the step to go to without playing
let speed = START_SPEED; // steps per second
let budget = 0; // of steps that playing may do now
let last = 0; // time of the last frame
let dirty = false; // a frame is to be drawn
let waiting = false; // for it, or drawing one

function wake(): void {
  dirty = true;
  if (!waiting) requestAnimationFrame(frame);
  waiting = true;
}

async function frame(now: number): Promise<void> {
  dirty = false;
  const elapsed = Math.min(now - last, 100);
  last = now;
  budget = (budget % 1 || 0) + (speed * elapsed) / 1000;
  const end = performance.now() + SLICE;
  while (due() && performance.now() < end) {
    if (training.steps >= until) budget -= 1;
    await training.step();
    if (training.steps === until) showState(training); // a link may have changed it on the way
  }
  await draw(training, theirs, test, ready);
  waiting = false;
  if (dirty || (ready && going())) wake();
}

const going = () => playing || training.steps < until;

function due(): boolean {
  if (!ready || !going()) return false;
  if (!training.stepsPerEpoch) {
    set(false);
    say("status", "There are no points to train on: add some, or take the report’s.");
    return false;
  }
  return training.steps < until || budget >= 1;
}

/** Plays, or doesn't; or goes to a step. */
function set(play: boolean, to = 0): void {
  playing = play;
  until = to;
  say("play", playing ? "Pause" : "Play");
  say("status", "");
  wake();
}

let newest: State | undefined;

async function begin(state: State): Promise<void> {
  newest = state;
  const arrays = await loadSeed(state.seed);
  if (newest !== state) return;
  theirs = arrays[`${state.network}.losses`]!;
  test = pointsOf(arrays, "test");
  training = new Training(arrays, state);
  until = state.step;
  showState(training);
  showLayers(element("layers"), state.network);
  wake();
}

async function open(hash: string): Promise<void> {
  let state = fromHash("");
  let wrong = "";
  try {
    state = fromHash(hash);
  } catch (error) {
    wrong = (error as Error).message;
  }
  await begin(state);
  set(false, state.step);
  say("status", wrong);
}

function change(...what: Parameters<Training["change"]>): void {
  training.change(...what);
  wake();
}

connect({
  play: () => set(!playing),
  step: () => set(false, training.steps + 1),
  epoch: () => set(false, training.steps + training.stepsPerEpoch),
  reset() {
    set(false);
    begin(training.restart);
  },
  clear: () => change("clear"),
  restore: () => change("restore"),
  link() {
    history.replaceState(null, "", toHash(training.state));
    navigator.clipboard?.writeText(location.href).catch(() => undefined);
    say("status", "The address of this page now leads to this very state.");
  },
  network: (network) => begin({ ...training.restart, network }),
  seed: (seed) => begin({ ...training.restart, seed }),
  lr(lr) {
    if (training.steps) change("lr", lr);
    else begin({ ...training.restart, lr }); // nothing to change yet
  },
  speed: (stepsPerSecond) => (speed = stepsPerSecond),
});
followPointer(element("graph"), (picked) => {
  pointed.picked = picked;
  wake();
});
followCursor(
  element("square"),
  (cursor) => {
    pointed.cursor = cursor;
    wake();
  },
  ({ x, y }) => {
    const chosen = document.querySelector<HTMLInputElement>("[name=class]:checked")!;
    change("add", x, y, Number(chosen.value));
  },
);
element("test").addEventListener("change", wake);
addEventListener("hashchange", () => open(location.hash));
addEventListener("resize", wake);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", wake);
Object.defineProperty(window, "training", { get: () => training }); // for who looks inside

addEventListener("unhandledrejection", ({ reason }) => fail(reason));

function fail(error: Error): void {
  say("status", `It can’t train: ${error.message}.`);
}

try {
  await open(location.hash);
  if (!("WebAssembly" in window)) throw new Error("this browser has no WebAssembly");
  const progress = element<HTMLProgressElement>("progress");
  await load((share) => {
    if (Number.isFinite(share)) progress.value = share;
    else progress.removeAttribute("value");
  });
  ready = true;
  enable();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (still || location.hash) wake();
  else set(true);
} catch (error) {
  fail(error as Error);
}
element("loading").hidden = true;
