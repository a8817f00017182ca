/** A state as a link: where training began, what was changed at which step, and how far it went. */

import { DATA, NOISES } from "./data";
import type { Page } from "./page";

const CHANGES = { lr: 1, add: 3, remove: 1, clear: 0, restore: 0 };

/** At a step: another learning rate, a point (x, y, class), one less, none, or the data set's. */
export type Change = [at: number, what: keyof typeof CHANGES, ...values: number[]];

/** What training begins with. */
export interface Setup {
  data: string;
  noise: number;
  activation: string;
  /** Hidden layers, and units in each. */
  layers: number;
  units: number;
  batch: number;
  seed: number;
  lr: number;
}

export interface State extends Setup {
  step: number;
  changes: Change[];
}

export const UNITS = { least: 2, most: 25 };
const MOST_LR = 10;
export const BATCHES = [1, 10, 20, 50, 100, 200, 1000];

/** The network and the data of the report. */
export function reports({ report, ...page }: Page): Setup {
  const hidden = report.sizes.slice(1, -1);
  return {
    data: DATA[0]!,
    noise: 0,
    activation: page.activations[0]!,
    layers: hidden.length,
    units: hidden[0]!,
    batch: report.batch,
    seed: 0,
    lr: report.lr,
  };
}

/** Units by layer of units, inputs first. */
export function sizesOf({ report: { sizes } }: Page, { layers, units }: Setup): number[] {
  return [sizes[0]!, ...Array<number>(layers).fill(units), sizes.at(-1)!];
}

export function toHash({ changes, ...rest }: State): string {
  const parts = [...Object.entries(rest), ...changes.map((change) => ["then", change.join()])];
  return `#${parts.map((part) => part.join("=")).join("&")}`;
}

export function fromHash(hash: string, page: Page): State {
  const query = new URLSearchParams(hash.slice(1));
  const defaults: Omit<State, "changes"> = { ...reports(page), step: 0 };
  const given = Object.entries(defaults).map(([name, value]) => {
    const text = query.get(name);
    return [name, text === null ? value : typeof value === "number" ? Number(text) : text];
  });
  const state: State = {
    ...Object.fromEntries(given),
    changes: query.getAll("then").map((text) => {
      const [at, what, ...values] = text.split(",");
      return [Number(at), what, ...values.map(Number)] as Change;
    }),
  };
  const whole = (n: number, least: number, end: number) =>
    Number.isInteger(n) && least <= n && n < end;
  const right = ([at, what, ...values]: Change, i: number) =>
    whole(at, 0, state.step + 1) &&
    at >= (state.changes[i - 1]?.[0] ?? 0) &&
    CHANGES[what] === values.length &&
    values.every((v) =>
      what === "remove" ? whole(v, 0, 1e6) : v >= 0 && v <= (what === "lr" ? MOST_LR : 1),
    );
  const checks: [name: string, fits: boolean][] = [
    ["data", DATA.includes(state.data)],
    ["noise", state.noise >= 0 && state.noise <= NOISES.at(-1)!],
    ["activation", page.activations.includes(state.activation)],
    ["layers", whole(state.layers, 1, page.depth + 1)],
    ["units", whole(state.units, UNITS.least, UNITS.most + 1)],
    ["batch", whole(state.batch, 1, BATCHES.at(-1)! + 1)],
    ["seed", whole(state.seed, 0, page.seeds)],
    ["lr", state.lr > 0 && state.lr <= MOST_LR],
    ["step", whole(state.step, 0, 1e6)],
    ["then", state.changes.every(right)],
  ];
  const wrong = checks.find(([, fits]) => !fits);
  if (wrong) {
    const [name] = wrong;
    throw new RangeError(`The link’s ${name} can’t be ${query.getAll(name).join(" ")}.`);
  }
  return state;
}
