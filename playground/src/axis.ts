/** A logarithmic axis. */

const SPAN = Math.log(6); // at the least, so that two of 1, 2, 5, 10 are on it
const MOST = 8; // labels

/** From below the least to above the largest, as logarithms; what has none is left out. */
export function rangeOf(values: number[]): [low: number, high: number] {
  const logs = values.filter((v) => v > 0 && Number.isFinite(v)).map(Math.log);
  if (!logs.length) return [Math.log(0.1), Math.log(1)];
  const [least, most] = logs.reduce(
    ([a, b], v) => [Math.min(a, v), Math.max(b, v)] as [number, number],
    [Infinity, -Infinity] as [number, number],
  );
  const pad = Math.max(Math.log(1.1), (SPAN - (most - least)) / 2);
  return [least - pad, most + pad];
}

/** Round numbers within the range: 1, 2 and 5 of each decade, or powers of ten. */
export function ticksOf([low, high]: [number, number]): number[] {
  const [from, to] = [Math.floor(low / Math.LN10), Math.ceil(high / Math.LN10)];
  const few = to - from <= 3;
  const every = few ? 1 : Math.ceil((to - from) / MOST);
  const ticks: number[] = [];
  for (let e = from; e <= to; e += every) {
    for (const digit of few ? [1, 2, 5] : [1]) ticks.push(Number(`${digit}e${e}`));
  }
  return ticks.filter((tick) => Math.log(tick) >= low && Math.log(tick) <= high);
}
