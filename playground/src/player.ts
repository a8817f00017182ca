/** Plays the training, a frame after the other. */

import { type Point, pointsOf } from "./data";
import { type Change, fromHash, reports, type Setup, type State } from "./link";
import { loadSeed, type Page } from "./page";
import type { Pass } from "./pass";
import { Training } from "./training";

const SLICE = 8; // ms of a frame that are for training
const LONG = 2000; // losses of the test points that are kept

/** Where it shows itself. */
export interface Shows {
  draw(): Promise<void>;
  playing(is: boolean): void;
  /** Training begins, or a link has changed it on the way. */
  began(state: State): void;
  status(text: string): void;
}

export class Player {
  training!: Training;
  /** PyTorch's losses, where it has done the same. */
  theirs: Float32Array = new Float32Array();
  test: Point[] = [];
  /** Steps, and the loss of the test points at each. */
  testLosses: [step: number, loss: number][] = [];
  /** The runtime is there. */
  ready = false;
  speed = 100; // steps per second
  private playing = false;
  private until = 0; // the step to go to without playing
  private budget = 0; // of steps that playing may do now
  private last = 0; // time of the last frame
  private dirty = false; // a frame is to be drawn
  private waiting = false; // for it, or drawing one
  private newest: State | undefined;
  private resting: (() => void)[] = []; // called when it doesn't go on

  constructor(
    readonly page: Page,
    private readonly shows: Shows,
  ) {}

  /** Draws the next frame. */
  wake(): void {
    this.dirty = true;
    if (!this.waiting) requestAnimationFrame((now) => this.frame(now));
    this.waiting = true;
  }

  toggle(): void {
    this.set(!this.playing);
  }

  pause(): void {
    if (this.going) this.set(false);
  }

  /** So many steps on; done when they are drawn. */
  async advance(steps = 1): Promise<void> {
    this.set(false, this.training.steps + steps);
    await new Promise<void>((done) => this.resting.push(done));
  }

  async begin(state: State): Promise<void> {
    this.newest = state;
    const arrays = await loadSeed(this.page, state.seed);
    if (this.newest !== state) return;
    this.training = new Training(this.page, state, arrays);
    const known = this.training.course.comparable(this.page) > 0;
    this.theirs = known ? arrays[`${state.activation}.losses`]! : new Float32Array();
    this.test = pointsOf(state, arrays, "test");
    this.testLosses = [];
    this.until = state.step;
    this.shows.began(state);
    this.shows.status("");
    this.wake();
  }

  /** Begins again, with something else. */
  restart(other: Partial<Setup> = {}): Promise<void> {
    return this.begin({ ...this.training.course.restart, ...other });
  }

  async open(hash: string): Promise<void> {
    let state = fromHash("", this.page);
    let wrong = "";
    try {
      state = fromHash(hash, this.page);
    } catch (error) {
      wrong = (error as Error).message;
    }
    this.set(false);
    await this.begin(state);
    this.shows.status(wrong);
  }

  /** The start of a network that fits on a slide. */
  async small(): Promise<void> {
    this.set(false);
    const small = { ...reports(this.page), activation: "tanh", layers: 1, units: 3 };
    await this.begin({ ...small, step: 0, changes: [] });
  }

  change(what: Change[1], ...values: number[]): void {
    this.training.change(what, ...values);
    this.wake();
  }

  pass(sample?: number): Promise<Pass> {
    return this.training.pass(sample);
  }

  /** Something went wrong: it stands still until it is told to go on. */
  fail(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.stop(`It can’t go on: ${why.replace(/\.*$/, ".")}`);
  }

  /** Notes the test points' loss at this step. */
  noteTest(loss: number): void {
    const { steps } = this.training;
    if (this.testLosses.at(-1)?.[0] !== steps) this.testLosses.push([steps, loss]);
    if (this.testLosses.length > LONG) this.testLosses = this.testLosses.filter((_, i) => i % 2);
  }

  private get going(): boolean {
    return this.playing || this.training.steps < this.until;
  }

  /** Plays, or doesn't; or goes to a step. */
  private set(play: boolean, to = 0): void {
    this.playing = play;
    this.until = to;
    this.shows.playing(play);
    this.shows.status("");
    this.wake();
  }

  private stop(why: string): void {
    this.playing = false;
    this.until = 0;
    this.shows.playing(false);
    this.shows.status(why);
  }

  private async frame(now: number): Promise<void> {
    this.dirty = false;
    try {
      await this.train(now);
      await this.shows.draw();
    } catch (error) {
      this.fail(error);
    }
    this.waiting = false;
    if (this.ready && this.going) this.wake();
    else for (const done of this.resting.splice(0)) done();
    if (this.dirty) this.wake();
  }

  private async train(now: number): Promise<void> {
    this.budget = (this.budget % 1 || 0) + (this.speed * Math.min(now - this.last, 100)) / 1000;
    this.last = now;
    const end = performance.now() + SLICE;
    while (this.due() && performance.now() < end) {
      const { training } = this;
      if (training.steps >= this.until) this.budget -= 1;
      await training.step();
      if (training === this.training && training.steps === this.until) {
        this.shows.began(training.state);
      }
    }
  }

  private due(): boolean {
    if (!this.ready || !this.going) return false;
    const { diverged, stepsPerEpoch, steps } = this.training;
    if (diverged) this.stop(`Diverged at step ${diverged}; lower the learning rate and reset.`);
    else if (!stepsPerEpoch) {
      this.stop("There are no points to train on: add some, or take the data set’s.");
    } else return steps < this.until || this.budget >= 1;
    return false;
  }
}
