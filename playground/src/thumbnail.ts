/** A unit of the graph as a small picture: what it answers over the square. */

import { COLORS, variable } from "./canvas";
import { largest } from "./largest";
import type { Layout } from "./picking";
import { CELLS } from "./square";

const SIDE = Math.sqrt(CELLS);
const small = document.createElement("canvas");

/** What a unit answers over the square, with its largest as 1; its frame becomes the path. */
export function thumbnail(
  g: CanvasRenderingContext2D,
  { at, half }: Layout,
  layer: number,
  unit: number,
  answer: (cell: number) => number,
): void {
  const skip = half > 12 ? 2 : 4; // cells
  const side = SIDE / skip;
  const answers = Array.from({ length: side * side }, (_, i) =>
    answer((Math.floor(i / side) * SIDE + (i % side)) * skip),
  );
  const most = largest(answers);
  const image = new ImageData(side, side);
  const colors = COLORS.map((name) => variable(name).split(" ").map(Number));
  answers.forEach((value, i) => {
    image.data.set(colors[value > 0 ? 1 : 0]!, 4 * i);
    image.data[4 * i + 3] = (220 * Math.abs(value)) / most;
  });
  small.width = small.height = side;
  small.getContext("2d")!.putImageData(image, 0, 0);
  const [x, y] = at(layer, unit);
  g.beginPath();
  g.rect(x - half, y - half, 2 * half, 2 * half);
  g.fillStyle = variable("card");
  g.fill();
  g.drawImage(small, x - half, y - half, 2 * half, 2 * half);
}
