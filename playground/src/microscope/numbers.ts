/** Numbers as people read them: a few digits, a true minus, and short however large they are. */

export function number(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const plain = value === 0 || (size >= 1e-3 && size < 1e4);
  const text = plain
    ? String(Number(value.toPrecision(digits)))
    : value.toExponential(Math.max(digits - 2, 0)).replace("e+", "e");
  return text.replaceAll("-", "−");
}

/** In brackets where it would follow a sign. */
export const factor = (value: number) => (value < 0 ? `(${number(value)})` : number(value));
