/** A state as a link: where training began, what was changed at which step, and how far it went. */

import { page } from "./page";

const CHANGES = { lr: 1, add: 3, clear: 0, restore: 0 };

/** At a step: another learning rate, a point (x, y, class), no points, or the report's. */
export type Change = [at: number, what: keyof typeof CHANGES, ...values: number[]];

export interface State {
  network: string;
  seed: number;
  lr: number;
  step: number;
  changes: Change[];
}

export function toHash({ changes, ...rest }: State): string {
  const parts = [...Object.entries(rest), ...changes.map((change) => ["then", change.join()])];
  return `#${parts.map((part) => part.join("=")).join("&")}`;
}

export function fromHash(hash: string): State {
  const query = new URLSearchParams(hash.slice(1));
  const state: State = {
    network: query.get("network") ?? page.networks[0]!,
    seed: Number(query.get("seed") ?? 0),
    lr: Number(query.get("lr") ?? page.lr),
    step: Number(query.get("step") ?? 0),
    changes: query.getAll("then").map((text) => {
      const [at, what, ...values] = text.split(",");
      return [Number(at), what, ...values.map(Number)] as Change;
    }),
  };
  const whole = (n: number, end: number) => Number.isInteger(n) && 0 <= n && n < end;
  const right = ([at, what, ...values]: Change, i: number) =>
    whole(at, state.step + 1) &&
    at >= (state.changes[i - 1]?.[0] ?? 0) &&
    CHANGES[what] === values.length &&
    values.every((v) => v >= 0 && v <= (what === "lr" ? 10 : 1));
  const wrong = Object.entries({
    network: page.networks.includes(state.network),
    seed: whole(state.seed, page.seeds),
    lr: state.lr > 0 && state.lr <= 10,
    step: whole(state.step, 1e6),
    then: state.changes.every(right),
  }).find(([, fits]) => !fits);
  if (wrong) {
    const [name] = wrong;
    throw new RangeError(`The link’s ${name} can’t be ${query.getAll(name).join(" ")}.`);
  }
  return state;
}
