/** A step under the microscope: a pass through the network that one plays, pauses and scrubs through. */

import { element, say } from "../elements";
import type { Pass } from "../pass";
import { has, layOut, type Picked, pickedAt, pickedBy, reachOf } from "../picking";
import { drawStep } from "./draw";
import { Film } from "./film";
import { type LineOf, tell } from "./panel";
import { passShown, same, whichOf } from "./samples";
import { type Stage, stagesOf } from "./stages";
import { Step } from "./step";

/** What plays the training, as the microscope needs it. */
export interface Player {
  /** The next step, of its batch or of one sample of it, from 0 on; nothing is trained. */
  pass(sample?: number): Promise<Pass>;
  /** Takes the step. */
  advance(): Promise<void>;
  pause(): void;
  /** Goes to the start of a small network. */
  small(): Promise<void>;
  lineOf: LineOf;
}

const AGAIN = 100; // ms without a change, after which the step is taken apart anew

export class Microscope {
  step: Step | undefined;
  stages: Stage[] = [];
  picked: Picked | undefined;
  /** Is told when another step is shown. */
  onStep: () => void = () => undefined;
  private readonly canvas = element<HTMLCanvasElement>("microscope-canvas");
  private readonly film = new Film(() => reduced.matches);
  private last = 0; // time of the last frame
  private drawing = false;
  private shown = ""; // what the panel says, so that it is made once
  private reveal = false; // what has been tapped, on a phone
  private newest = 0; // of the passes asked for
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly player: Player) {
    new ResizeObserver(() => this.wake()).observe(this.canvas);
    for (const what of LOOKS) {
      matchMedia(`(${what})`).addEventListener("change", () => this.wake());
    }
  }

  get open(): boolean {
    return !element("microscope-body").hidden;
  }

  get at(): number {
    return this.film.at;
  }

  async show(open: boolean): Promise<void> {
    element("microscope-body").hidden = !open;
    element("microscope-open").setAttribute("aria-expanded", String(open));
    say("microscope-open", open ? "Close" : "Take the next step apart");
    if (!open) return this.film.pause();
    this.player.pause();
    await this.take();
  }

  /** Another step comes next. */
  changed(): void {
    clearTimeout(this.timer);
    if (this.open) this.timer = setTimeout(() => this.take(), AGAIN);
  }

  /** Takes the next step apart. */
  async take(): Promise<void> {
    const ticket = ++this.newest;
    try {
      const pass = await passShown(this.player);
      if (ticket !== this.newest || (this.step && same(this.step.pass, pass))) return;
      this.step = new Step(pass);
      this.stages = stagesOf(pass.sizes, pass.activation);
      if (this.picked && !has(pass.sizes, this.picked)) this.picked = undefined;
      this.film.resize(this.stages.length);
      element<HTMLInputElement>("microscope-stage").max = String(this.stages.length - 1);
      say("microscope-which", whichOf(pass));
      this.onStep();
    } catch (error) {
      if (ticket !== this.newest) return;
      this.step = undefined;
      say("microscope-which", `There is no step to show: ${(error as Error).message}.`);
    }
    element("microscope-split").hidden = !this.step;
    this.shown = "";
    this.wake();
  }

  toggle(): void {
    if (this.film.playing) this.film.pause();
    else this.film.play();
    this.wake();
  }

  goTo(stage: number): void {
    this.film.goTo(stage);
    this.wake();
  }

  /** Shows how a stage comes about, with something picked. */
  showStage(stage: number, picked: Picked | undefined): void {
    this.picked = picked;
    this.film.show(stage);
    this.wake();
  }

  pick(picked: Picked | undefined): void {
    this.picked = picked;
    this.wake();
  }

  pickAt(x: number, y: number, pointerType: string): void {
    if (!this.step) return;
    const { sizes } = this.step.pass;
    const layout = layOut(sizes, this.canvas.clientWidth, this.canvas.clientHeight);
    this.reveal = true;
    this.pick(pickedAt(sizes, layout, [x, y], reachOf(pointerType)));
  }

  /** Whether the key led anywhere. */
  pickBy(key: string, shift: boolean): boolean {
    if (!this.step) return false;
    const next =
      key === "Escape" ? undefined : pickedBy(this.step.pass.sizes, key, shift, this.picked);
    if (!next && key !== "Escape") return false;
    this.pick(next);
    return true;
  }

  wake(): void {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame((now) => {
      this.last = now;
      this.frame(now);
    });
  }

  private frame(now: number): void {
    this.film.tick(Math.min(now - this.last, 100));
    this.last = now;
    this.drawing = this.open && this.film.moving;
    if (this.drawing) requestAnimationFrame((then) => this.frame(then));
    this.draw();
  }

  private draw(): void {
    const { step, stages, picked, film } = this;
    if (!step || !this.open) return;
    const { at, share } = film;
    drawStep(this.canvas, { step, stages, at, share, picked });
    say("microscope-play", film.playing ? "Pause" : "Play");
    const key = JSON.stringify([at, picked]);
    if (key === this.shown) return;
    this.shown = key;
    tell(step, stages[at]!, picked, this.player.lineOf);
    const range = element<HTMLInputElement>("microscope-stage");
    range.value = String(at);
    range.setAttribute("aria-valuetext", stages[at]!.name);
    if (this.reveal) element("microscope-sums").scrollIntoView({ block: "nearest" });
    this.reveal = false;
  }
}

const LOOKS = ["prefers-color-scheme: dark", "forced-colors: active"];
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
