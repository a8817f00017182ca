/** What scripts/page.py says, in small. */
export const page = {
  activations: ["relu", "tanh", "gelu"],
  depth: 4,
  seeds: 10,
  report: { activations: ["relu", "tanh"], sizes: [2, 25, 25, 25, 2], batch: 100, lr: 0.1 },
};
