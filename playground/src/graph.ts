/** The network as a graph: weights by colour and width, biases by colour. */

import { ARROWS, begin, rgb, variable } from "./canvas";
import { page } from "./page";
import type { Training } from "./training";

/** A unit, or the weight to it from a unit of the layer before. Layer 0 are the inputs. */
export interface Picked {
  layer: number;
  unit: number;
  from?: number;
}

const { sizes } = page;
const LEVELS = 6;

/** The linear layer that leads to a layer of units. */
export const linearTo = (layer: number) => 2 * (layer - 1);

export function drawGraph(
  canvas: HTMLCanvasElement,
  training: Training,
  picked: Picked | undefined,
): void {
  const [g, width, height] = begin(canvas);
  const place = placed(width, height);
  const radius = Math.min(6, height / 70);
  for (let layer = 1; layer < sizes.length; layer++) {
    const weight = training.param(`${linearTo(layer)}.weight`);
    const most = largest(weight);
    const inputs = sizes[layer - 1]!;
    // A path for each colour and width, since a call for each line takes too long.
    const paths = Array.from({ length: 2 * LEVELS }, () => new Path2D());
    weight.forEach((w, i) => {
      const level = Math.min(Math.floor((LEVELS * Math.abs(w)) / most), LEVELS - 1);
      if (level === 0) return; // too pale to be seen
      const path = paths[2 * level + (w > 0 ? 1 : 0)]!;
      path.moveTo(...place(layer - 1, i % inputs));
      path.lineTo(...place(layer, Math.floor(i / inputs)));
    });
    paths.forEach((path, i) => {
      const share = ((i >> 1) + 0.5) / LEVELS;
      g.strokeStyle = rgb(i % 2, share);
      g.lineWidth = 2 * share;
      g.stroke(path);
    });
  }
  if (picked?.from !== undefined) {
    g.strokeStyle = variable("ink");
    g.lineWidth = 3;
    g.beginPath();
    g.moveTo(...place(picked.layer - 1, picked.from));
    g.lineTo(...place(picked.layer, picked.unit));
    g.stroke();
  }
  sizes.forEach((units, layer) => {
    const bias = layer ? training.param(`${linearTo(layer)}.bias`) : new Float32Array(units);
    const most = largest(bias);
    for (let unit = 0; unit < units; unit++) {
      const chosen = picked?.layer === layer && picked.unit === unit && picked.from === undefined;
      g.beginPath();
      g.arc(...place(layer, unit), chosen ? radius + 2 : radius, 0, 2 * Math.PI);
      g.fillStyle = variable("card");
      g.fill();
      g.fillStyle = rgb(bias[unit]! > 0 ? 1 : 0, Math.abs(bias[unit]!) / most);
      g.fill();
      g.strokeStyle = variable(chosen ? "ink" : "soft");
      g.lineWidth = chosen ? 3 : 1;
      g.stroke();
    }
  });
}

/** What lies under a place on the canvas. */
function pickedAt(canvas: HTMLCanvasElement, x: number, y: number): Picked | undefined {
  const place = placed(canvas.clientWidth, canvas.clientHeight);
  let nearest: Picked | undefined;
  let least = 9;
  const near = (distance: number, candidate: Picked) => {
    if (distance < least) [least, nearest] = [distance, candidate];
  };
  sizes.forEach((units, layer) => {
    for (let unit = 0; unit < units; unit++) {
      const [ux, uy] = place(layer, unit);
      near(Math.hypot(x - ux, y - uy), { layer, unit });
    }
  });
  if (nearest) return nearest;
  least = 4;
  for (let layer = 1; layer < sizes.length; layer++) {
    for (let from = 0; from < sizes[layer - 1]!; from++) {
      for (let unit = 0; unit < sizes[layer]!; unit++) {
        const [[ax, ay], [bx, by]] = [place(layer - 1, from), place(layer, unit)];
        const share = (x - ax) / (bx - ax);
        if (share < 0 || share > 1) continue;
        const away = Math.abs(y - ay - share * (by - ay)) / Math.hypot(1, (by - ay) / (bx - ax));
        near(away, { layer, unit, from });
      }
    }
  }
  return nearest;
}

/** From here by an arrow key: through units, or with shift through the weights of one. */
function pickedBy(key: string, shift: boolean, picked: Picked | undefined): Picked | undefined {
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

/** Tells what is under the pointer, or has been gone to by arrow keys. */
export function followPointer(
  canvas: HTMLCanvasElement,
  changed: (picked: Picked | undefined) => void,
): void {
  let picked: Picked | undefined;
  const pick = (now: Picked | undefined) => changed((picked = now));
  for (const type of ["pointermove", "pointerdown"] as const) {
    canvas.addEventListener(type, ({ offsetX, offsetY }) =>
      pick(pickedAt(canvas, offsetX, offsetY)),
    );
  }
  canvas.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType === "mouse") pick(undefined);
  });
  canvas.addEventListener("blur", () => pick(undefined));
  canvas.addEventListener("keydown", (event) => {
    const next = pickedBy(event.key, event.shiftKey, picked);
    if (!next) return;
    event.preventDefault();
    pick(next);
  });
}

function placed(width: number, height: number): (layer: number, unit: number) => [number, number] {
  const margin = 12;
  return (layer, unit) => [
    margin + ((width - 2 * margin) * layer) / (sizes.length - 1),
    ((unit + 0.5) * height) / sizes[layer]!,
  ];
}

const largest = (values: Float32Array) =>
  values.reduce((most, v) => Math.max(most, Math.abs(v)), Number.MIN_VALUE);
