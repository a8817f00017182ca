/** The numbers of the way forward, written out. */

import { keyOfWeight, nameOf, nameOfEdge } from "../names";
import { linearTo, type Picked } from "../picking";
import { ACTIVATIONS } from "./activations";
import { number } from "./numbers";
import { column, mean, meanOf, minus, plain, product, source, type Written } from "./parts";
import type { Step } from "./step";

/** A coordinate. */
export function given(step: Step, unit: number): Written {
  const { samples } = step.pass;
  const value = step.inputs[unit]!;
  return {
    ...plain(`${nameOf(step.pass.sizes, 0, unit)}, a coordinate of the point`, "it is given"),
    terms: column(step.pass.inputs, samples, unit).map((v) => ({ text: number(v), value: v })),
    ...mean(step),
    value,
  };
}

/** z = Σ w · x + b. */
export function weighted(step: Step, layer: number, unit: number): Written {
  const { sizes, before } = step.pass;
  const linear = linearTo(layer);
  const into = step.into(linear);
  const bias = before[`${linear}.bias`]![unit]!;
  const products = into.map((x, from) =>
    product(before[`${linear}.weight`]![unit * into.length + from]!, x),
  );
  return {
    ...plain(
      `${nameOf(sizes, layer, unit)}: its sum z${meanOf(step)}`,
      `z = Σ weight × ${source(layer)} + bias`,
    ),
    terms: [...products, { text: number(bias), value: bias }],
    value: step.values[linear]![unit]!,
    computedBy: ["linear", "value"],
  };
}

/** a = f(z). */
export function activated(step: Step, layer: number, unit: number): Written {
  const { sizes, activation, samples, values } = step.pass;
  const { value, writtenValue, formula } = ACTIVATIONS[activation]!;
  const linear = linearTo(layer);
  const terms = column(values[linear]!, samples, unit).map((z) => ({
    text: writtenValue(z),
    value: value(z),
  }));
  return {
    ...plain(`${nameOf(sizes, layer, unit)}: its value a${meanOf(step)}`, `a = ${formula[0]}`),
    terms,
    ...mean(step),
    value: step.values[linear + 1]![unit]!,
    computedBy: [activation, "value"],
  };
}

/** L = Σ (y − t)² / n. */
export function loss(step: Step): Written {
  const { values, targets, loss } = step.pass;
  const outputs = values.at(-1)!;
  const n = outputs.length;
  return {
    ...plain("The loss L", "L = Σ (output − target)² / n"),
    terms: Array.from(outputs, (y, i) => ({
      text: `(${minus(y, targets[i]!)})²`,
      value: (y - targets[i]!) ** 2,
    })),
    scale: 1 / n,
    scaled: `/ ${n}`,
    value: loss,
    computedBy: ["mse", "value"],
  };
}

/** w, as the step finds it. */
export function weight(step: Step, edge: Required<Picked>, i: number): Written {
  const { sizes, before } = step.pass;
  const value = before[`${linearTo(edge.layer)}.weight`]![i]!;
  return {
    ...plain(
      `The weight of the edge ${nameOfEdge(sizes, edge)}, ${keyOfWeight(edge)}`,
      "as the step before left it",
    ),
    terms: [{ text: number(value), value }],
    value,
  };
}

/** w · x, a term of what it leads to. */
export function carried(step: Step, edge: Required<Picked>, i: number): Written {
  const linear = linearTo(edge.layer);
  const term = product(step.pass.before[`${linear}.weight`]![i]!, step.into(linear)[edge.from]!);
  return {
    ...plain(
      `What the edge ${nameOfEdge(step.pass.sizes, edge)} carries forward${meanOf(step)}`,
      `weight × ${source(edge.layer)}`,
    ),
    terms: [term],
    value: term.value,
    arrow: "→",
    computedBy: ["linear", "value"],
  };
}
