/** All that is seen of training. */

import { begin } from "./canvas";
import { drawCurve } from "./curve";
import type { Point } from "./data";
import { element } from "./elements";
import { drawGraph } from "./graph";
import { largest } from "./largest";
import { has, type Picked } from "./picking";
import type { Player } from "./player";
import { showPicked, showProgress, showResult } from "./readouts";
import { drawSquare, drawSurface, GRID, type Place } from "./square";
import type { Forward } from "./training";

export class View {
  /** What the visitor points at. */
  picked: Picked | undefined;
  cursor: Place | undefined;

  /** Draws all; without the runtime, all but what the network makes of the points. */
  async draw(player: Player): Promise<void> {
    const { training, test, ready } = player;
    const { points } = training.course;
    const picked = this.picked && has(training.sizes, this.picked) ? this.picked : undefined;
    const wrong: Point[] = [];
    let grid: Forward | undefined;
    const tests = element<HTMLInputElement>("test").checked ? test : [];
    if (ready) {
      grid = await training.forward(GRID);
      for (const [kind, of] of [
        ["training", points],
        ["test", test],
      ] as const) {
        const there = of.length ? await training.forward(of) : { units: [], loss: NaN };
        const missed = of.filter((p, i) => p.class !== Number(score(there.units, i) > 0));
        showResult(kind, { loss: there.loss, wrong: missed.length, all: of.length });
        if (kind === "training" || tests.length) wrong.push(...missed);
        if (kind === "test") player.noteTest(there.loss);
      }
    }
    const theirs = player.theirs.slice(0, training.course.comparable(player.page));
    const surface = grid ? surfaceOf(grid.units, picked) : [];
    drawSquare(element("square"), { surface, points, test: tests, wrong, cursor: this.cursor });
    drawGraph(element("graph"), training, picked, grid?.units);
    drawCurve(element("curve"), {
      ours: training.losses,
      theirs,
      test: player.testLosses,
      stepsPerEpoch: training.stepsPerEpoch || 1,
    });
    for (const part of document.querySelectorAll<HTMLElement>(".of-theirs")) {
      part.hidden = !theirs.length;
    }
    showProgress(training, theirs);
    const pass = picked?.layer && ready && training.stepsPerEpoch ? await player.pass() : undefined;
    showPicked(training, picked, pass);
    drawPicked(element("picked-surface"), picked?.from === undefined && picked ? surface : []);
  }
}

/** What the unit that is picked gives, beside its name: the square may be off the screen. */
function drawPicked(canvas: HTMLCanvasElement, surface: number[]): void {
  canvas.hidden = !surface.length;
  if (canvas.hidden) return;
  const [g, side] = begin(canvas);
  drawSurface(g, side, surface);
}

/** How much more a place is inside than outside. */
function score(units: Float32Array[], place: number): number {
  const outputs = units.at(-1)!;
  return outputs[2 * place + 1]! - outputs[2 * place]!;
}

/** The score over the grid, or what the unit that is picked gives, with its largest as 1. */
function surfaceOf(units: Float32Array[], picked: Picked | undefined): number[] {
  if (!picked || picked.from !== undefined) return GRID.map((_, i) => score(units, i));
  const given = units[picked.layer]!;
  const columns = given.length / GRID.length;
  const values = GRID.map((_, i) => given[i * columns + picked.unit]!);
  const most = largest(values);
  return values.map((value) => value / most);
}
