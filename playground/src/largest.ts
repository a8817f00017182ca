/**
 * The largest of those numbers that are finite, whatever their signs: above 0, so that one can
 * divide by it.
 */
export const largest = (values: ArrayLike<number>) => {
  let most = Number.MIN_VALUE;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (size > most && size < Infinity) most = size;
  }
  return most;
};
