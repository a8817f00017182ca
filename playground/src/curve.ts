/** The loss of each step, over PyTorch's own and with that of the test points. */

import { rangeOf, ticksOf } from "./axis";
import { begin, variable } from "./canvas";
import { number } from "./microscope/numbers";

const MARGIN = { left: 44, right: 12, top: 10, bottom: 24 };
const HORIZONS = [200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

type Spot = [step: number, loss: number];

export interface Losses {
  ours: number[];
  theirs: ArrayLike<number>;
  test: Spot[];
  stepsPerEpoch: number;
}

export function drawCurve(canvas: HTMLCanvasElement, losses: Losses): void {
  const { ours, theirs, stepsPerEpoch } = losses;
  const [g, width, height] = begin(canvas);
  const horizon = HORIZONS.find((n) => n >= ours.length) ?? ours.length;
  // A step's loss depends on its batch; of many steps, the means of epochs say more.
  const per = horizon > 200 ? stepsPerEpoch * Math.ceil(horizon / 500 / stepsPerEpoch) : 1;
  const lines: [spots: Spot[], color: string, width: number, dash: number[]][] = [
    [means(theirs, per, horizon), "theirs", 5, []],
    [losses.test, "soft", 1.5, [4, 3]],
    [means(ours, per, horizon), "ink", 1.5, []],
  ];
  const range = rangeOf(lines.flatMap(([spots]) => spots.map(([, loss]) => loss)));
  const inner = width - MARGIN.left - MARGIN.right;
  const x = (step: number) => MARGIN.left + (inner * step) / horizon;
  const scale = (height - MARGIN.top - MARGIN.bottom) / (range[1] - range[0]);
  const y = (loss: number) => MARGIN.top + scale * (range[1] - Math.log(loss));

  g.fillStyle = variable("soft");
  g.strokeStyle = variable("line");
  g.lineWidth = 1;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (const tick of ticksOf(range)) {
    g.beginPath();
    g.moveTo(MARGIN.left, y(tick));
    g.lineTo(width - MARGIN.right, y(tick));
    g.stroke();
    g.fillText(number(tick), MARGIN.left - 6, y(tick));
  }
  g.textBaseline = "alphabetic";
  for (const [share, align] of [
    [0, "left"],
    [0.5, "center"],
    [1, "right"],
  ] as const) {
    g.textAlign = align;
    const step = (share * horizon).toLocaleString("en");
    g.fillText(share ? step : `step ${step}`, x(share * horizon), height - 6);
  }
  for (const [spots, color, lineWidth, dash] of lines) {
    g.strokeStyle = variable(color);
    g.lineWidth = lineWidth;
    g.lineJoin = "round";
    g.setLineDash(dash);
    g.beginPath();
    for (const [step, loss] of spots) {
      if (loss > 0 && Number.isFinite(loss)) g.lineTo(x(step), y(loss));
    }
    g.stroke();
  }
  g.setLineDash([]);
}

/** Of so many losses each, up to a step, in their middles. */
function means(losses: ArrayLike<number>, per: number, end: number): Spot[] {
  const n = Math.floor(Math.min(losses.length, end) / per);
  return Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = i * per; j < (i + 1) * per; j++) sum += losses[j]!;
    return [(i + 0.5) * per, sum / per];
  });
}
