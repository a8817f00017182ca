/** Where a network's units are on a canvas, and which of them, or of its edges, is picked. */

import { ARROWS } from "./arrows";

/** A unit, or the edge to it from a unit of the layer before. Layer 0 are the inputs. */
export interface Picked {
  layer: number;
  unit: number;
  from?: number;
}

export type Place = [x: number, y: number];

/** A network on a canvas. */
export interface Layout {
  at(layer: number, unit: number): Place;
  /** Half of a unit's side, or its radius. */
  half: number;
}

const NAMES = { left: 22, right: 62 }; // beside the inputs, and beside the outputs

export function layOut(sizes: number[], width: number, height: number): Layout {
  const wide = width - NAMES.left - NAMES.right;
  const half = Math.min(22, (0.42 * height) / Math.max(...sizes), (0.25 * wide) / sizes.length);
  const step = (wide - 2 * half) / (sizes.length - 1);
  return {
    half,
    at: (layer, unit) => [
      NAMES.left + half + step * layer,
      ((unit + 0.5) * height) / sizes[layer]!,
    ],
  };
}

/** The linear layer that leads to a layer of units. */
export const linearTo = (layer: number) => 2 * (layer - 1);

/** What lies within reach of a place. */
export function pickedAt(
  sizes: number[],
  { at, half }: Layout,
  [x, y]: Place,
  reach: number,
): Picked | undefined {
  let nearest: Picked | undefined;
  let least = half + reach;
  const near = (distance: number, candidate: Picked) => {
    if (distance < least) [least, nearest] = [distance, candidate];
  };
  sizes.forEach((units, layer) => {
    for (let unit = 0; unit < units; unit++) {
      const [ux, uy] = at(layer, unit);
      near(Math.hypot(x - ux, y - uy), { layer, unit });
    }
  });
  if (nearest) return nearest;
  least = reach;
  for (const { layer, unit, from } of edges(sizes)) {
    const [[ax, ay], [bx, by]] = [at(layer - 1, from), at(layer, unit)];
    const share = (x - ax) / (bx - ax);
    if (share < 0 || share > 1) continue;
    near(Math.abs(y - ay - share * (by - ay)) / Math.hypot(1, (by - ay) / (bx - ax)), {
      layer,
      unit,
      from,
    });
  }
  return nearest;
}

function* edges(sizes: number[]): Generator<Required<Picked>> {
  for (let layer = 1; layer < sizes.length; layer++) {
    for (let unit = 0; unit < sizes[layer]!; unit++) {
      for (let from = 0; from < sizes[layer - 1]!; from++) yield { layer, unit, from };
    }
  }
}

/** From here by an arrow key: through units, or with shift through the edges to one. */
export function pickedBy(
  sizes: number[],
  key: string,
  shift: boolean,
  picked: Picked | undefined,
): Picked | undefined {
  const by = ARROWS[key];
  if (!by || !picked) return by && { layer: 1, unit: 0 };
  const [dx, dy] = by;
  const within = (n: number, end: number) => Math.min(Math.max(n, 0), end - 1);
  if (shift && picked.layer) {
    const from = picked.from === undefined ? 0 : picked.from + dx + dy;
    return { ...picked, from: within(from, sizes[picked.layer - 1]!) };
  }
  const layer = within(picked.layer + dx, sizes.length);
  const share = dx ? sizes[layer]! / sizes[picked.layer]! : 1;
  return { layer, unit: within(Math.floor(picked.unit * share) + dy, sizes[layer]!) };
}

/** Whether a network of these sizes has it. */
export const has = (sizes: number[], { layer, unit, from = 0 }: Picked) =>
  unit < (sizes[layer] ?? 0) && from < (sizes[layer - 1] ?? 1);

/** The reach in pixels of a finger, and of what is finer. */
export const reachOf = (pointerType: string) => (pointerType === "touch" ? 12 : 4);

/** Tells what is under the pointer, or has been gone to by arrow keys. */
export function followPointer(
  canvas: HTMLCanvasElement,
  sizes: () => number[],
  changed: (picked: Picked | undefined) => void,
): void {
  let picked: Picked | undefined;
  const pick = (now: Picked | undefined) => {
    picked = now;
    changed(picked);
  };
  for (const type of ["pointermove", "pointerdown"] as const) {
    canvas.addEventListener(type, ({ offsetX, offsetY, pointerType }) => {
      const layout = layOut(sizes(), canvas.clientWidth, canvas.clientHeight);
      pick(pickedAt(sizes(), layout, [offsetX, offsetY], reachOf(pointerType)));
    });
  }
  canvas.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType === "mouse") pick(undefined);
  });
  canvas.addEventListener("blur", () => pick(undefined));
  canvas.addEventListener("keydown", (event) => {
    const here = picked && has(sizes(), picked) ? picked : undefined;
    const next = pickedBy(sizes(), event.key, event.shiftKey, here);
    if (!next) return;
    event.preventDefault();
    pick(next);
  });
}
