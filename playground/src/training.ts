/** Training by the exported step, from a state's beginning on. */

import { Course } from "./course";
import { pointsOf } from "./data";
import { type Change, type State, sizesOf } from "./link";
import type { Arrays, Page } from "./page";
import { paramsOf, shapesOf } from "./params";
import type { Pass } from "./pass";
import { run } from "./runtime";
import { batchesOf, dataOf, feedOf, float, remembered, type Tensors, under } from "./tensors";

interface Place {
  x: number;
  y: number;
  class?: number;
}

const whole = remembered(feedOf);

/** What the network makes of some places. */
export interface Forward {
  /** For each layer of units what they give, inputs first: a row for each place. */
  units: Float32Array[];
  loss: number;
}

export class Training {
  readonly sizes: number[];
  readonly course: Course;
  readonly losses: number[] = [];
  private params: Tensors;
  /** Contiguous batches of points, in order. */
  private readonly batched: (points: Place[]) => Tensors[];

  constructor(page: Page, state: State, arrays: Arrays, start = paramsOf(page, state, arrays)) {
    this.sizes = sizesOf(page, state);
    this.course = new Course(state, pointsOf(state, arrays, "training"));
    this.batched = remembered((points) => batchesOf(points, state.batch).map(feedOf));
    const shapes = Object.entries(shapesOf(this.sizes));
    this.params = Object.fromEntries(
      shapes.map(([name, shape]) => [name, float(start[name]!, shape)]),
    );
  }

  get steps(): number {
    return this.losses.length;
  }

  get state(): State {
    return this.course.at(this.steps);
  }

  /** 0 without points. */
  get stepsPerEpoch(): number {
    return this.batches.length;
  }

  /** The step, from 1 on, at which the loss stopped being a finite number. */
  get diverged(): number | undefined {
    return Number.isFinite(this.losses.at(-1) ?? 0) ? undefined : this.steps;
  }

  async step(): Promise<void> {
    const names = Object.keys(this.params);
    const wanted = ["loss", ...names.map((name) => `new_${name}`)];
    const results = await run(this.file("step"), this.next(), wanted);
    this.params = Object.fromEntries(names.map((name) => [name, results[`new_${name}`]!]));
    this.losses.push(dataOf(results.loss)[0]!);
    this.course.reach(this.steps);
  }

  change(what: Change[1], ...values: number[]): void {
    this.course.change([this.steps, what, ...values]);
  }

  param(name: string): Float32Array {
    return dataOf(this.params[`params.${name}`]);
  }

  /** What the network makes of places, and its loss if they have classes. */
  async forward(places: Place[]): Promise<Forward> {
    const feeds = whole(places);
    const hidden = this.sizes.slice(2).map((_, i) => `values.${2 * i + 1}`);
    const wanted = [...hidden, `values.${2 * hidden.length}`];
    const all = { ...this.params, ...feeds };
    const results = await run(this.file("forward"), all, [...wanted, "loss"]);
    const units = wanted.map((name) => dataOf(results[name]));
    return { units: [dataOf(feeds.inputs), ...units], loss: dataOf(results.loss)[0]! };
  }

  /** The next step, taken apart, with its batch or with one sample of it; it isn't taken. */
  async pass(sample?: number): Promise<Pass> {
    const feeds = this.next();
    if (sample !== undefined) {
      for (const name of ["inputs", "targets"]) {
        feeds[name] = float(dataOf(feeds[name]).slice(2 * sample, 2 * sample + 2), [1, 2]);
      }
    }
    const layers = Array.from({ length: 2 * this.sizes.length - 3 }, (_, k) => k);
    const results = await run(this.file("step"), feeds, [
      "loss",
      ...layers.flatMap((k) => [`values.${k}`, `cotangents.${k}`]),
      ...Object.keys(this.params).flatMap((name) => [
        `new_${name}`,
        name.replace("params", "gradients"),
      ]),
    ]);
    return {
      step: this.steps + 1,
      sizes: this.sizes,
      activation: this.state.activation,
      samples: feeds.inputs!.dims[0]!,
      lr: this.course.lr,
      loss: dataOf(results.loss)[0]!,
      inputs: dataOf(feeds.inputs),
      targets: dataOf(feeds.targets),
      values: layers.map((k) => dataOf(results[`values.${k}`])),
      cotangents: layers.map((k) => dataOf(results[`cotangents.${k}`])),
      gradients: under("gradients.", results),
      before: under("params.", feeds),
      after: under("new_params.", results),
    };
  }

  /** What the next step takes. */
  private next(): Tensors {
    const batch = this.batches[this.steps % this.batches.length];
    if (!batch) throw new Error("there are no points to train on");
    return { ...this.params, ...batch, lr: float([this.course.lr], []) };
  }

  private get batches(): Tensors[] {
    return this.batched(this.course.points);
  }

  private file(kind: "step" | "forward"): string {
    return `${this.state.activation}-${this.state.layers}-${kind}`;
  }
}
