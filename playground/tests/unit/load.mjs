/** A module of src, for tests in Node. */
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

export const load = async (name) =>
  (await runnerImport(fileURLToPath(new URL(`../../src/${name}.ts`, import.meta.url)))).module;
