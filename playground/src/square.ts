/** The unit square: what the network or one unit makes of it, and the points. */

import { ARROWS } from "./arrows";
import { begin, COLORS, rgb, variable } from "./canvas";
import type { Point } from "./training";

const SIDE = 40;
export const CELLS = SIDE * SIDE;

export interface Place {
  x: number;
  y: number;
}

/** The middles of the surface's cells, row by row from the top. */
export const GRID: Place[] = Array.from({ length: CELLS }, (_, i) => ({
  x: ((i % SIDE) + 0.5) / SIDE,
  y: 1 - (Math.floor(i / SIDE) + 0.5) / SIDE,
}));

export interface Scene {
  /** Around −1 to 1, for each cell. */
  surface: number[];
  points: Point[];
  test: Point[];
  /** The points among these that the network tells wrongly. */
  wrong: Point[];
  /** Where the keyboard would add a point. */
  cursor: Place | undefined;
}

const small = document.createElement("canvas");
small.width = small.height = SIDE;
const image = new ImageData(SIDE, SIDE);

export function drawSquare(canvas: HTMLCanvasElement, scene: Scene): void {
  const [g, side] = begin(canvas);
  const colors = COLORS.map((name) => variable(name).split(" ").map(Number));
  scene.surface.forEach((value, i) => {
    image.data.set(colors[value > 0 ? 1 : 0]!, 4 * i);
    image.data[4 * i + 3] = 150 * Math.min(Math.abs(value), 1);
  });
  small.getContext("2d")!.putImageData(image, 0, 0);
  g.drawImage(small, 0, 0, side, side);

  const at = ({ x, y }: Place) => [x * side, (1 - y) * side] as const;
  for (const sign of [0, 1]) {
    g.fillStyle = g.strokeStyle = rgb(sign);
    g.beginPath();
    for (const p of scene.points) if (p.class === sign) circle(g, ...at(p), 2);
    g.fill();
    g.lineWidth = 1;
    g.beginPath();
    for (const p of scene.test) {
      const [x, y] = at(p);
      if (p.class === sign) g.rect(x - 2, y - 2, 4, 4);
    }
    g.stroke();
  }
  g.strokeStyle = variable("ink");
  g.lineWidth = 1.5;
  g.beginPath();
  for (const p of scene.wrong) circle(g, ...at(p), 5);
  g.stroke();
  if (scene.cursor) {
    const [x, y] = at(scene.cursor);
    g.beginPath();
    g.moveTo(x - 9, y);
    g.lineTo(x + 9, y);
    g.moveTo(x, y - 9);
    g.lineTo(x, y + 9);
    g.stroke();
  }
}

function circle(g: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  g.moveTo(x + radius, y);
  g.arc(x, y, radius, 0, 2 * Math.PI);
}

/** Tells where the cursor is, moved by arrow keys, and where a point is added. */
export function followCursor(
  canvas: HTMLCanvasElement,
  moved: (cursor: Place | undefined) => void,
  add: (place: Place) => void,
): void {
  let cursor = { x: 0.5, y: 0.5 };
  // So that a link says it exactly.
  const within = (v: number) => Math.round(1000 * Math.min(Math.max(v, 0), 1)) / 1000;
  canvas.addEventListener("click", ({ offsetX, offsetY }) => {
    const side = canvas.clientWidth;
    add({ x: within(offsetX / side), y: within(1 - offsetY / side) });
  });
  canvas.addEventListener("keydown", (event) => {
    const by = ARROWS[event.key];
    if (event.key === "Enter") add(cursor);
    else if (by) {
      event.preventDefault();
      cursor = { x: within(cursor.x + 0.025 * by[0]), y: within(cursor.y - 0.025 * by[1]) };
      moved(cursor);
    }
  });
  canvas.addEventListener("blur", () => moved(undefined));
}
