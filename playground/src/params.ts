/** The params that training begins with. */

import { type Setup, sizesOf } from "./link";
import type { Arrays, Page } from "./page";
import { draws } from "./random";

export type Shapes = Record<string, number[]>;

/** By name, in the order of a file's inputs. */
export function shapesOf(sizes: number[]): Shapes {
  return Object.fromEntries(
    sizes.slice(1).flatMap((out, i) => [
      [`params.${2 * i}.weight`, [out, sizes[i]!]],
      [`params.${2 * i}.bias`, [out]],
    ]),
  );
}

/** PyTorch's own where they are known; else drawn by its rule, from U(−1/√n, 1/√n) of n inputs. */
export function paramsOf(page: Page, setup: Setup, arrays: Arrays): Arrays {
  const sizes = sizesOf(page, setup);
  const shapes = shapesOf(sizes);
  if (sizes.join() === page.report.sizes.join()) {
    return Object.fromEntries(Object.keys(shapes).map((name) => [name, arrays[name]!]));
  }
  const draw = draws(setup.seed, "params");
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const bound = 1 / Math.sqrt(sizes[Number(name.split(".")[1]) / 2]!);
      const length = shape.reduce((a, b) => a * b);
      return [name, Float32Array.from({ length }, () => bound * (2 * draw() - 1))];
    }),
  );
}
