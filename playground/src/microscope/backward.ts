/** The numbers of the way back and of the update, written out. */

import { keyOfWeight, nameOf, nameOfEdge } from "../names";
import { linearTo, type Picked } from "../picking";
import { ACTIVATIONS } from "./activations";
import { factor, number } from "./numbers";
import { column, minus, over, plain, product, source, sumOf, type Written } from "./parts";
import type { Step } from "./step";

/** ∇z: of an output from the loss, of another unit through its activation. */
export function cotangentOfSum(step: Step, layer: number, unit: number): Written {
  const { sizes, activation, samples, values, cotangents, targets } = step.pass;
  const linear = linearTo(layer);
  const value = step.cotangents[linear]![unit]!;
  const own = nameOf(sizes, layer, unit);
  if (layer === sizes.length - 1) {
    const wanted = column(targets, samples, unit);
    const n = targets.length;
    return {
      ...plain(`${own}: its cotangent${sumOf(step)}`, "∇y = (output − target) × 2 / n"),
      terms: column(values[linear]!, samples, unit).map((y, i) => ({
        text: `(${minus(y, wanted[i]!)})`,
        value: y - wanted[i]!,
      })),
      scale: 2 / n,
      scaled: `× 2 / ${n}`,
      value,
      computedBy: ["mse", "input"],
    };
  }
  const { slope, writtenSlope, formula } = ACTIVATIONS[activation]!;
  const z = column(values[linear]!, samples, unit);
  const a = column(values[linear + 1]!, samples, unit);
  return {
    ...plain(
      `${own}: the cotangent of its sum z${sumOf(step)}`,
      `∇z = ∇a × slope, which is ${formula[1]}`,
    ),
    terms: column(cotangents[linear + 1]!, samples, unit).map((cotangent, i) => ({
      text: `${factor(cotangent)} × ${writtenSlope(z[i]!, a[i]!)}`,
      value: cotangent * slope(z[i]!),
    })),
    value,
    computedBy: [activation, "input"],
  };
}

/** ∇a = Σ over the units it feeds of their cotangent × weight. */
export function cotangentOfValue(step: Step, layer: number, unit: number): Written {
  const { sizes, before } = step.pass;
  const next = linearTo(layer + 1);
  return {
    ...plain(
      `${nameOf(sizes, layer, unit)}: the cotangent of its value a${sumOf(step)}`,
      "∇a = Σ over the units it feeds of cotangent × weight",
    ),
    terms: step.cotangents[next]!.map((cotangent, to) =>
      product(cotangent, before[`${next}.weight`]![to * sizes[layer]! + unit]!),
    ),
    value: step.cotangents[next - 1]![unit]!,
    computedBy: ["linear", "input"],
  };
}

/** ∇b = Σ over samples of the cotangent. */
export function gradientOfBias(step: Step, layer: number, unit: number): Written {
  const { sizes, samples, cotangents, gradients } = step.pass;
  const linear = linearTo(layer);
  return {
    ...plain(
      `${nameOf(sizes, layer, unit)}: the gradient of its bias`,
      `∇b = ${over(step)}cotangent`,
    ),
    terms: column(cotangents[linear]!, samples, unit).map((value) => ({
      text: number(value),
      value,
    })),
    value: gradients[`${linear}.bias`]![unit]!,
    computedBy: ["linear", "bias"],
  };
}

/** ∇W = Σ over samples of cotangent × input. */
export function gradientOfWeight(step: Step, edge: Required<Picked>, i: number): Written {
  const { sizes, samples, inputs, values, cotangents, gradients } = step.pass;
  const linear = linearTo(edge.layer);
  const into = column(linear ? values[linear - 1]! : inputs, samples, edge.from);
  return {
    ...plain(
      `The gradient of the weight of the edge ${nameOfEdge(sizes, edge)}, ${keyOfWeight(edge)}`,
      `∇w = ${over(step)}cotangent at its end × ${source(edge.layer)} at its start`,
    ),
    terms: column(cotangents[linear]!, samples, edge.unit).map((cotangent, sample) =>
      product(cotangent, into[sample]!),
    ),
    value: gradients[`${linear}.weight`]![i]!,
    computedBy: ["linear", "weight"],
  };
}

/** cotangent · w, a term of the cotangent of what it comes from. */
export function carriedBack(step: Step, edge: Required<Picked>, i: number): Written {
  const linear = linearTo(edge.layer);
  const term = product(
    step.cotangents[linear]![edge.unit]!,
    step.pass.before[`${linear}.weight`]![i]!,
  );
  return {
    ...plain(
      `What flows back along the edge ${nameOfEdge(step.pass.sizes, edge)}${sumOf(step)}`,
      "cotangent at its end × weight",
    ),
    terms: [term],
    value: term.value,
    arrow: "←",
    computedBy: ["linear", "input"],
  };
}

/** p − lr · ∇p. */
export function updated(step: Step, name: string, i: number, title: string): Written {
  const { before, gradients, after, lr } = step.pass;
  const [old, gradient] = [before[name]![i]!, gradients[name]![i]!];
  const letter = name.endsWith("weight") ? "w" : "b";
  return {
    ...plain(title, `new ${letter} = ${letter} − learning rate × ∇${letter}`),
    terms: [
      { text: number(old), value: old },
      { text: `− ${number(lr)} × ${factor(gradient)}`, value: -lr * gradient },
    ],
    value: after[name]![i]!,
    computedBy: ["sgd", "value"],
  };
}
