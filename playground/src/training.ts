/** Training by the exported step, from a state's beginning on. */

import { Tensor } from "onnxruntime-web/wasm";
import type { Change, State } from "./link";
import { type Arrays, page } from "./page";
import { run } from "./runtime";

export interface Point {
  x: number;
  y: number;
  /** 1 is inside the disk. */
  class: number;
}

type Tensors = Record<string, Tensor>;

export class Training {
  readonly network: string;
  readonly seed: number;
  readonly losses: number[] = [];
  /** All that were made, each at its step. */
  readonly changes: Change[] = [];
  points: Point[];
  lr: number;
  private readonly firstLr: number;
  private readonly given: Point[];
  private readonly later: Change[];
  private batches: Tensors[];
  private params: Tensors;
  private old: { params: Tensors; lr: number } | undefined;

  /** Begins where a state began; what it changed later comes when its step does. */
  constructor(arrays: Arrays, state: State) {
    this.network = state.network;
    this.seed = state.seed;
    this.lr = this.firstLr = state.lr;
    this.given = this.points = pointsOf(arrays, "training");
    this.batches = batchesOf(this.points);
    this.params = Object.fromEntries(
      Object.entries(page.arrays)
        .filter(([name]) => name.startsWith("params."))
        .map(([name, shape]) => [name, new Tensor("float32", arrays[name]!, shape)]),
    );
    this.later = [...state.changes];
    this.catchUp();
  }

  get steps(): number {
    return this.losses.length;
  }

  get state(): State {
    const { network, seed, firstLr: lr, steps: step, changes } = this;
    return { network, seed, lr, step, changes };
  }

  /** The state in which to begin again, with the present learning rate and points. */
  get restart(): State {
    const restored = this.changes.findLastIndex(([, what]) => what === "restore");
    const ofPoints = this.changes.slice(restored + 1).filter(([, what]) => what !== "lr");
    const changes = ofPoints.map(([, ...change]): Change => [0, ...change]);
    return { ...this.state, lr: this.lr, step: 0, changes };
  }

  /** 0 without points. */
  get stepsPerEpoch(): number {
    return this.batches.length;
  }

  /** How many steps from the first on are those that PyTorch did too. */
  get comparable(): number {
    return this.firstLr === page.lr ? (this.changes[0]?.[0] ?? Infinity) : 0;
  }

  async step(): Promise<void> {
    const batch = this.batches[this.steps % this.batches.length]!;
    const lr = new Tensor("float32", [this.lr], []);
    const { loss, ...results } = await run(`${this.network}-step`, {
      ...this.params,
      ...batch,
      lr,
    });
    this.old = { params: this.params, lr: this.lr };
    this.params = Object.fromEntries(
      Object.entries(results).map(([name, p]) => [name.replace("new_", ""), p as Tensor]),
    );
    this.losses.push((loss!.data as Float32Array)[0]!);
    this.catchUp();
  }

  change(what: Change[1], ...values: number[]): void {
    this.apply([this.steps, what, ...values]);
  }

  param(name: string): Float32Array {
    return this.params[`params.${name}`]!.data as Float32Array;
  }

  /** An element's gradient in the last step, (old − new) / lr. */
  gradient(name: string, i: number): number | undefined {
    const before = this.old?.params[`params.${name}`]?.data as Float32Array | undefined;
    return before && (before[i]! - this.param(name)[i]!) / this.old!.lr;
  }

  /** What all units give at each of these places, one row after the other. */
  async units(places: Float32Array): Promise<Float32Array> {
    const inputs = new Tensor("float32", places, [places.length / 2, 2]);
    const { outputs } = await run(`${this.network}-units`, { ...this.params, inputs });
    return outputs!.data as Float32Array;
  }

  private catchUp(): void {
    while (this.later[0]?.[0] === this.steps) this.apply(this.later.shift()!);
  }

  private apply(change: Change): void {
    const [at, what, ...values] = change;
    const [before, like] = this.changes.at(-1) ?? [];
    if (what === "lr" && like === "lr" && before === at) this.changes.pop();
    this.changes.push(change);
    if (what === "lr") {
      this.lr = values[0]!;
      return;
    }
    if (what === "add") {
      const [x, y, of] = values as [number, number, number];
      this.points = [...this.points, { x, y, class: of }];
    } else {
      this.points = what === "clear" ? [] : this.given;
    }
    this.batches = batchesOf(this.points);
  }
}

export function pointsOf(arrays: Arrays, kind: "training" | "test"): Point[] {
  const [inputs, targets] = [arrays[`${kind}.inputs`]!, arrays[`${kind}.targets`]!];
  return Array.from({ length: inputs.length / 2 }, (_, i) => ({
    x: inputs[2 * i]!,
    y: inputs[2 * i + 1]!,
    class: targets[2 * i + 1]!,
  }));
}

/** Contiguous batches, in order. */
function batchesOf(points: Point[]): Tensors[] {
  const batches: Tensors[] = [];
  for (let i = 0; i < points.length; i += page.batch) {
    const batch = points.slice(i, i + page.batch);
    const tensor = (rows: number[][]) => new Tensor("float32", rows.flat(), [rows.length, 2]);
    batches.push({
      inputs: tensor(batch.map((p) => [p.x, p.y])),
      targets: tensor(batch.map((p) => [1 - p.class, p.class])),
    });
  }
  return batches;
}
