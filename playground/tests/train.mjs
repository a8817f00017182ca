// Trains from an exported file with onnxruntime-web: node train.mjs task.json > results.json
import { readFileSync } from "node:fs";
import { env, InferenceSession, Tensor } from "onnxruntime-web";

env.wasm.numThreads = 1;
const tensor = ({ shape, data }) => new Tensor("float32", Float32Array.from(data), shape);
const { file, starts, ...batches } = JSON.parse(readFileSync(process.argv[2]));
const session = await InferenceSession.create(readFileSync(file));
const whole = session.inputNames.includes("steps");
const inputs = whole ? tensor(batches.inputs) : batches.inputs.map(tensor);
const targets = whole ? tensor(batches.targets) : batches.targets.map(tensor);
const lr = new Tensor("float32", [batches.lr], []);

async function train({ params, first, steps }) {
  let feed = Object.fromEntries(Object.entries(params).map(([k, p]) => [k, tensor(p)]));
  const losses = [];
  for (let i = 0; i < (whole ? 1 : steps); i++) {
    const batch = whole
      ? { inputs, targets, steps: new Tensor("int64", [BigInt(steps)], []) }
      : {
          inputs: inputs[(first + i) % inputs.length],
          targets: targets[(first + i) % targets.length],
        };
    const { loss, ...results } = await session.run({ ...feed, ...batch, lr });
    losses.push(...loss.data);
    feed = Object.fromEntries(Object.entries(results).map(([k, p]) => [k.replace("new_", ""), p]));
  }
  return { losses, params: Object.values(feed).map(({ data }) => [...data]) };
}

const results = [];
for (const start of starts) results.push(await train(start));
process.stdout.write(JSON.stringify(results));
