/** A training step of a small network, computed here, as the page would get it from its file. */

const F = Math.fround;
const array = (n, f) => Float32Array.from({ length: n }, (_, i) => f(i));

/** Numbers that look random and are always the same. */
function draws(seed) {
  let state = seed;
  return () => {
    state = (1664525 * state + 1013904223) % 2 ** 32;
    return state / 2 ** 31 - 1;
  };
}

const logistic = (z) => 1 / (1 + Math.exp(-z));

/** Values, and slopes of z and a. */
const ACTIVATIONS = {
  relu: [(z) => Math.max(z, 0), (z) => Number(z > 0)],
  leaky_relu: [(z) => (z > 0 ? z : 0.01 * z), (z) => (z > 0 ? 1 : 0.01)],
  tanh: [Math.tanh, (_, a) => 1 - a * a],
  sigmoid: [logistic, (_, a) => a * (1 - a)],
};

export function fakePass({
  sizes = [2, 3, 2],
  activation = "tanh",
  samples = 1,
  lr = 0.1,
  seed = 1,
} = {}) {
  const draw = draws(seed);
  const [f, slope] = ACTIVATIONS[activation];
  const before = {};
  for (let k = 0; k < sizes.length - 1; k++) {
    const bound = 1 / Math.sqrt(sizes[k]);
    before[`${2 * k}.weight`] = array(sizes[k] * sizes[k + 1], () => bound * draw());
    before[`${2 * k}.bias`] = array(sizes[k + 1], () => bound * draw());
  }
  const inputs = array(2 * samples, () => (draw() + 1) / 2);
  const targets = array(2 * samples, (i) => ((i >> 1) + i + 1) % 2);
  const values = [];
  let into = inputs;
  for (let k = 0; k < sizes.length - 1; k++) {
    const [a, b] = [sizes[k], sizes[k + 1]];
    const [w, bias, x] = [before[`${2 * k}.weight`], before[`${2 * k}.bias`], into];
    const z = array(samples * b, (i) => {
      const [row, unit] = [Math.floor(i / b), i % b];
      let sum = bias[unit];
      for (let j = 0; j < a; j++) sum += w[unit * a + j] * x[row * a + j];
      return sum;
    });
    values.push(z);
    into = z.map(f);
    if (k < sizes.length - 2) values.push(into);
  }
  const outputs = values.at(-1);
  const n = outputs.length;
  const loss = F(outputs.reduce((sum, y, i) => sum + (y - targets[i]) ** 2, 0) / n);
  const cotangents = Array(values.length);
  const gradients = {};
  let back = outputs.map((y, i) => ((y - targets[i]) * 2) / n);
  for (let k = sizes.length - 2; k >= 0; k--) {
    const [a, b] = [sizes[k], sizes[k + 1]];
    const [w, x, gy] = [before[`${2 * k}.weight`], k ? values[2 * k - 1] : inputs, back];
    cotangents[2 * k] = gy;
    gradients[`${2 * k}.weight`] = array(a * b, (i) => {
      let sum = 0;
      for (let row = 0; row < samples; row++) {
        sum += gy[row * b + Math.floor(i / a)] * x[row * a + (i % a)];
      }
      return sum;
    });
    gradients[`${2 * k}.bias`] = array(b, (unit) => {
      let sum = 0;
      for (let row = 0; row < samples; row++) sum += gy[row * b + unit];
      return sum;
    });
    if (!k) continue;
    const gx = array(samples * a, (i) => {
      let sum = 0;
      for (let unit = 0; unit < b; unit++)
        sum += gy[Math.floor(i / a) * b + unit] * w[unit * a + (i % a)];
      return sum;
    });
    cotangents[2 * k - 1] = gx;
    back = gx.map((g, i) => g * slope(values[2 * k - 2][i], x[i]));
  }
  const after = Object.fromEntries(
    Object.entries(before).map(([name, p]) => [name, p.map((v, i) => v - lr * gradients[name][i])]),
  );
  return {
    step: 1,
    sizes,
    activation,
    samples,
    lr,
    loss,
    inputs,
    targets,
    values,
    cotangents,
    gradients,
    before,
    after,
  };
}
