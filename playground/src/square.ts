/** The unit square: what the network or one unit makes of it, and the points. */

import { begin, COLORS, rgb, variable } from "./canvas";
import type { Point } from "./data";

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

export function drawSquare(canvas: HTMLCanvasElement, scene: Scene): void {
  const [g, side] = begin(canvas);
  drawSurface(g, side, scene.surface);
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
  if (scene.cursor) {
    const [x, y] = at(scene.cursor);
    g.moveTo(x - 9, y);
    g.lineTo(x + 9, y);
    g.moveTo(x, y - 9);
    g.lineTo(x, y + 9);
  }
  g.stroke();
  drawAxes(g, side);
}

const small = document.createElement("canvas");
small.width = small.height = SIDE;
const image = new ImageData(SIDE, SIDE);

export function drawSurface(g: CanvasRenderingContext2D, side: number, surface: number[]): void {
  const colors = COLORS.map((name) => variable(name).split(" ").map(Number));
  surface.forEach((value, i) => {
    image.data.set(colors[value > 0 ? 1 : 0]!, 4 * i);
    image.data[4 * i + 3] = 150 * Math.min(Math.abs(value), 1);
  });
  if (!surface.length) return;
  small.getContext("2d")!.putImageData(image, 0, 0);
  g.drawImage(small, 0, 0, side, side);
}

function drawAxes(g: CanvasRenderingContext2D, side: number): void {
  const [near, middle, far] = [5, side / 2, side - 5];
  g.fillStyle = variable("ink");
  g.strokeStyle = variable("card");
  g.lineWidth = 4;
  g.lineJoin = "round";
  for (const [text, x, y, align, baseline] of [
    ["0", near, far, "left", "bottom"],
    ["x₁", middle, far, "center", "bottom"],
    ["1", far, far, "right", "bottom"],
    ["x₂", near, middle, "left", "middle"],
    ["1", near, near, "left", "top"],
  ] as const) {
    [g.textAlign, g.textBaseline] = [align, baseline];
    g.strokeText(text, x, y);
    g.fillText(text, x, y);
  }
}

function circle(g: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  g.moveTo(x + radius, y);
  g.arc(x, y, radius, 0, 2 * Math.PI);
}
