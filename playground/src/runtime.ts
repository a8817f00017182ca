/** ONNX Runtime, and the exported files in it. */

import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { env, InferenceSession } from "onnxruntime-web/wasm";
import { get, once } from "./page";

const sessions = new Map<string, Promise<InferenceSession>>();
let last: Promise<unknown> = Promise.resolve();

/** Runs a file for some of its outputs; one run at a time, since all share the runtime's stack. */
export function run(
  file: string,
  feeds: InferenceSession.FeedsType,
  wanted: string[],
): Promise<InferenceSession.ReturnType> {
  const now = last.then(async () => (await session(file)).run(feeds, wanted));
  last = now.catch(() => undefined);
  return now;
}

function session(file: string): Promise<InferenceSession> {
  return once(sessions, file, async () =>
    InferenceSession.create(await (await get(`${file}.onnx`)).arrayBuffer()),
  );
}

/** Loads the runtime; progress is told the share of it that is here. */
export async function load(progress: (share: number) => void = () => undefined): Promise<void> {
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = await download(wasm, progress);
}

async function download(url: string, progress: (share: number) => void): Promise<ArrayBuffer> {
  const response = await get(url);
  const compressed = response.headers.has("Content-Encoding"); // then the length is another's
  const total = compressed ? NaN : Number(response.headers.get("Content-Length"));
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let here = 0;
  for (const reader = response.body!.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).arrayBuffer();
    parts.push(value);
    here += value.length;
    progress(here / total);
  }
}
