/** What the views share: a sharp canvas, the colours of the style sheet. */

/** Cleared, and measured in CSS pixels. */
export function begin(canvas: HTMLCanvasElement): [CanvasRenderingContext2D, number, number] {
  const { clientWidth: width, clientHeight: height } = canvas;
  const [w, h] = [width, height].map((n) => Math.round(n * devicePixelRatio)) as [number, number];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const g = canvas.getContext("2d")!;
  g.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "12px system-ui, sans-serif";
  return [g, width, height];
}

const cache = new Map<string, string>();
for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
  matchMedia(query).addEventListener("change", () => cache.clear());
}

const probe = document.createElement("i");
probe.hidden = true;
probe.style.forcedColorAdjust = "none";
document.body.append(probe);

/** The value of --name; of a system colour what it stands for, as a canvas may know an old one. */
export function variable(name: string): string {
  const known = cache.get(name);
  if (known !== undefined) return known;
  let value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  if (CSS.supports("color", value)) {
    probe.style.color = value;
    value = getComputedStyle(probe).color;
  }
  cache.set(name, value);
  return value;
}

/** The colours of class 0 and class 1, and of what is negative and positive. */
export const COLORS = ["outside", "inside"] as const;

/** Those that tell one look of the page from another. */
export const LOOKS = ["ink", "inside"];

export const rgb = (sign: number, alpha = 1) => `rgb(${variable(COLORS[sign]!)} / ${alpha})`;
