/** Points put on the square, and taken off, by pointer and by keyboard. */

import { ARROWS } from "./arrows";
import type { Place } from "./square";

const APART = 0.03; // of points that a drag paints

export interface Painter {
  /** A point goes there; or, if it is the visitor's and within reach, from there. */
  put(place: Place, reach: number): "added" | "removed";
  /** Where the keyboard would put one. */
  moved(cursor: Place | undefined): void;
}

export function followBrush(canvas: HTMLCanvasElement, painter: Painter): void {
  let painted: Place | undefined; // the last of this drag
  const placeOf = ({ offsetX, offsetY }: PointerEvent) => {
    const side = canvas.clientWidth;
    return { x: within(offsetX / side), y: within(1 - offsetY / side) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const place = placeOf(event);
    const reach = (event.pointerType === "touch" ? 12 : 6) / canvas.clientWidth;
    painted = painter.put(place, reach) === "added" ? place : undefined;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!painted) return;
    const place = placeOf(event);
    if (Math.hypot(place.x - painted.x, place.y - painted.y) < APART) return;
    painter.put(place, 0);
    painted = place;
  });
  for (const end of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(end, () => (painted = undefined));
  }

  let cursor = { x: 0.5, y: 0.5 };
  canvas.addEventListener("keydown", (event) => {
    const by = ARROWS[event.key];
    if (event.key === "Enter") painter.put(cursor, 0.01);
    else if (by) {
      event.preventDefault();
      cursor = { x: within(cursor.x + 0.025 * by[0]), y: within(cursor.y - 0.025 * by[1]) };
      painter.moved(cursor);
    }
  });
  canvas.addEventListener("blur", () => painter.moved(undefined));
}

/** In thousandths, so that a link says it exactly. */
const within = (v: number) => Math.round(1000 * Math.min(Math.max(v, 0), 1)) / 1000;

/** Which of some points is nearest to a place and within reach; −1 if none is. */
export function nearest(points: Place[], { x, y }: Place, reach: number): number {
  let [found, least] = [-1, reach];
  points.forEach((p, i) => {
    const away = Math.hypot(p.x - x, p.y - y);
    if (away <= least) [found, least] = [i, away];
  });
  return found;
}
