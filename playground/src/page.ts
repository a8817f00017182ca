/** What scripts/playground_files.py wrote: see there. */

export interface Explained {
  file: string;
  formulas: string[];
  lines: [number, string][];
}

export interface Page {
  networks: string[];
  sizes: number[];
  seeds: number;
  batch: number;
  lr: number;
  arrays: Record<string, number[]>;
  layers: Record<string, Explained>;
}

/** An array for each name in page.arrays. */
export type Arrays = Record<string, Float32Array>;

export const page: Page = await (await get("page.json")).json();

const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

const seeds = new Map<number, Promise<Arrays>>();

/** The arrays of a seed, fetched once. */
export function loadSeed(seed: number): Promise<Arrays> {
  const known = seeds.get(seed) ?? fetchSeed(seed);
  seeds.set(seed, known);
  return known;
}

async function fetchSeed(seed: number): Promise<Arrays> {
  const all = new Float32Array(await (await get(`seed-${seed}.bin`)).arrayBuffer());
  const arrays: Arrays = {};
  let from = 0;
  for (const [name, shape] of Object.entries(page.arrays)) {
    arrays[name] = all.subarray(from, (from += size(shape)));
  }
  return arrays;
}

export async function get(file: string): Promise<Response> {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`expected ${file}, got status ${response.status}`);
  return response;
}
