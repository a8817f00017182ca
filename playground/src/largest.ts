/** The largest of some numbers, whatever their signs: above 0, so that one can divide by it. */
export const largest = (values: ArrayLike<number>) => {
  let most = Number.MIN_VALUE;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
};
