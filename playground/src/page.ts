/** What scripts/page.py wrote: see there. */

/** A line of the library, and which number of its layer it computes. */
export interface Line {
  what: "value" | "weight" | "bias" | "input";
  file: string;
  number: number;
  text: string;
}

export interface Page {
  activations: string[];
  /** The most hidden layers. */
  depth: number;
  seeds: number;
  /** What the report trains, and PyTorch has trained too. */
  report: { activations: string[]; sizes: number[]; batch: number; lr: number };
  arrays: Record<string, number[]>;
  formulas: Record<string, string[]>;
  lines: Record<string, Line[]>;
}

/** An array for each name in page.arrays. */
export type Arrays = Record<string, Float32Array>;

export async function loadPage(): Promise<Page> {
  return (await get("page.json")).json();
}

const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

const seeds = new Map<number, Promise<Arrays>>();

/** The arrays of a seed, fetched once. */
export function loadSeed(page: Page, seed: number): Promise<Arrays> {
  return once(seeds, seed, async () => {
    const all = new Float32Array(await (await get(`seed-${seed}.bin`)).arrayBuffer());
    const arrays: Arrays = {};
    let from = 0;
    for (const [name, shape] of Object.entries(page.arrays)) {
      arrays[name] = all.subarray(from, from + size(shape));
      from += size(shape);
    }
    return arrays;
  });
}

/** What is known under a key, or else is made; what fails is forgotten. */
export function once<K, V>(known: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const made = known.get(key) ?? make();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}

export async function get(file: string): Promise<Response> {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`expected ${file}, got status ${response.status}`);
  return response;
}
