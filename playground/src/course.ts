/** What training goes through: its points and its learning rate, changed at one step or another. */

import type { Point } from "./data";
import { type Change, reports, type State } from "./link";
import type { Page } from "./page";

export class Course {
  points: Point[];
  lr: number;
  /** All that were made, each at its step. */
  readonly changes: Change[] = [];
  private readonly later: Change[];
  private readonly set: Set<Point>;

  /** Begins where a state began, with the points of its data set. */
  constructor(
    readonly began: State,
    private readonly given: Point[],
  ) {
    this.points = given;
    this.set = new Set(given);
    this.lr = began.lr;
    this.later = [...began.changes];
    this.reach(0);
  }

  /** Makes the changes that the state made at this step. */
  reach(step: number): void {
    while (this.later[0]?.[0] === step) this.change(this.later.shift()!);
  }

  change(change: Change): void {
    const [at, what, ...values] = change;
    const [before, like] = this.changes.at(-1) ?? [];
    if (what === "lr" && like === "lr" && before === at) this.changes.pop();
    this.changes.push(change);
    if (what === "lr") this.lr = values[0]!;
    else this.points = this.changed(what, values);
  }

  /** The state so many steps on. */
  at(step: number): State {
    return { ...this.began, step, changes: this.changes };
  }

  /** The state in which to begin again, with the present learning rate and points. */
  get restart(): State {
    const restored = this.changes.findLastIndex(([, what]) => what === "restore");
    const ofPoints = this.changes.slice(restored + 1).filter(([, what]) => what !== "lr");
    const changes = ofPoints.map(([, ...change]): Change => [0, ...change]);
    return { ...this.began, lr: this.lr, step: 0, changes };
  }

  /** Whether a point is the visitor's. */
  isOwn(point: Point): boolean {
    return !this.set.has(point);
  }

  /** How many steps from the first on are those that PyTorch did too. */
  comparable(page: Page): number {
    const { activation, seed } = this.began;
    const theirs = Object.entries({ ...reports(page), activation, seed });
    const same = theirs.every(([name, value]) => this.began[name as keyof State] === value);
    const known = page.report.activations.includes(activation);
    return same && known ? (this.changes[0]?.[0] ?? Infinity) : 0;
  }

  private changed(what: Change[1], [x, y, of]: number[]): Point[] {
    if (what === "clear") return [];
    if (what === "restore") return this.given;
    if (what === "remove") return this.points.filter((_, i) => i !== x);
    return [...this.points, { x: x!, y: y!, class: of! }];
  }
}
