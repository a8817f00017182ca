/** What the exported files take and give. */

import { Tensor } from "onnxruntime-web/wasm";
import type { Arrays } from "./page";

export type Tensors = Record<string, Tensor>;

export const float = (data: Float32Array | number[], shape: number[]) =>
  new Tensor("float32", data, shape);

export const dataOf = (tensor: Tensor | undefined) => tensor!.data as Float32Array;

/** Of the tensors under a prefix, their data, without it. */
export function under(prefix: string, tensors: Tensors): Arrays {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), dataOf(tensor)]),
  );
}

/** Places, and one-hot classes where they have any. */
export function feedOf(points: { x: number; y: number; class?: number }[]): Tensors {
  const of = (p: (typeof points)[number]) => p.class ?? 0;
  return {
    inputs: float(
      points.flatMap((p) => [p.x, p.y]),
      [points.length, 2],
    ),
    targets: float(
      points.flatMap((p) => [1 - of(p), of(p)]),
      [points.length, 2],
    ),
  };
}

/** Of so many each, in order. */
export function batchesOf<T>(points: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) =>
    points.slice(i * size, (i + 1) * size),
  );
}

/** f, which is called once for each object. */
export function remembered<K extends object, V>(f: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    const value = known.get(key) ?? f(key);
    known.set(key, value);
    return value;
  };
}
