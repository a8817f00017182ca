/** ONNX Runtime, and the exported files in it. */

import { env, InferenceSession } from "onnxruntime-web/wasm";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { get, page } from "./page";

const sessions: Record<string, InferenceSession> = {};

export function run(file: string, feeds: InferenceSession.FeedsType) {
  return sessions[file]!.run(feeds);
}

/** Loads all that can be run; progress is told the share of the runtime that is here. */
export async function load(progress: (share: number) => void): Promise<void> {
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = await download(wasm, progress);
  for (const file of page.networks.flatMap((network) => [`${network}-step`, `${network}-units`])) {
    const bytes = await (await get(`${file}.onnx`)).arrayBuffer();
    sessions[file] = await InferenceSession.create(bytes);
  }
}

async function download(url: string, progress: (share: number) => void): Promise<ArrayBuffer> {
  const response = await get(url);
  const compressed = response.headers.has("Content-Encoding"); // then the length is another's
  const total = compressed ? NaN : Number(response.headers.get("Content-Length"));
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let here = 0;
  for (const reader = response.body!.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).arrayBuffer();
    parts.push(value);
    here += value.length;
    progress(here / total);
  }
}
