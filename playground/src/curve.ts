/** The loss, over PyTorch's own. */

import { begin, variable } from "./canvas";

const MARGIN = { left: 44, right: 10, top: 10, bottom: 24 };
const HORIZONS = [200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000];
const TICKS = [-6, -5, -4, -3, -2, -1, 0].flatMap((e) => [1, 2, 5].map((d) => Number(`${d}e${e}`)));

export function drawCurve(
  canvas: HTMLCanvasElement,
  ours: number[],
  theirs: ArrayLike<number>,
  stepsPerEpoch: number,
): void {
  const [g, width, height] = begin(canvas);
  const horizon = HORIZONS.find((n) => n >= ours.length) ?? ours.length;
  // A step's loss depends on its batch; of many steps, the means of epochs say more.
  const per = horizon > 200 ? stepsPerEpoch * Math.ceil(horizon / 500 / stepsPerEpoch) : 1;
  const [a, b] = [means(ours, per, horizon), means(theirs, per, horizon)];
  const all = [...a, ...b].filter((loss) => loss > 0 && Number.isFinite(loss));
  const [low, high] = [Math.log(Math.min(...all) / 1.1), Math.log(Math.max(...all) * 1.1)];

  const inner = width - MARGIN.left - MARGIN.right;
  const x = (i: number) => MARGIN.left + (inner * (i + 0.5) * per) / horizon;
  const scale = (height - MARGIN.top - MARGIN.bottom) / (high - low);
  const y = (loss: number) => MARGIN.top + scale * (high - Math.log(loss));

  g.fillStyle = variable("soft");
  g.strokeStyle = variable("line");
  g.lineWidth = 1;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (const tick of TICKS) {
    if (Math.log(tick) < low || Math.log(tick) > high) continue;
    g.beginPath();
    g.moveTo(MARGIN.left, y(tick));
    g.lineTo(width - MARGIN.right, y(tick));
    g.stroke();
    g.fillText(tick < 0.001 ? tick.toExponential() : String(tick), MARGIN.left - 6, y(tick));
  }
  g.textBaseline = "alphabetic";
  g.fillText(`step ${horizon.toLocaleString("en")}`, width - MARGIN.right, height - 6);
  g.textAlign = "left";
  g.fillText("0", MARGIN.left, height - 6);

  const line = (losses: number[], color: string, lineWidth: number) => {
    g.strokeStyle = variable(color);
    g.lineWidth = lineWidth;
    g.lineJoin = "round";
    g.beginPath();
    losses.forEach((loss, i) => g.lineTo(x(i), y(loss)));
    g.stroke();
  };
  line(b, "theirs", 5);
  line(a, "ink", 1.5);
}

/** Of so many losses each, up to a step. */
function means(losses: ArrayLike<number>, per: number, end: number): number[] {
  const n = Math.floor(Math.min(losses.length, end) / per);
  return Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = i * per; j < (i + 1) * per; j++) sum += losses[j]!;
    return sum / per;
  });
}
