/** Each number that the microscope writes out is the sum of what it writes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fakePass } from "./fake-pass.mjs";
import { load } from "./load.mjs";

const { written } = await load("microscope/sums");
const { stagesOf } = await load("microscope/stages");
const { Step } = await load("microscope/step");

const CASES = {
  "one sample": {},
  "a batch": { samples: 7 },
  "three hidden layers of relu": { sizes: [2, 5, 4, 3, 2], activation: "relu", samples: 3 },
  "leaky relu": { sizes: [2, 6, 2], activation: "leaky_relu", samples: 4, seed: 3 },
  sigmoid: { sizes: [2, 3, 4, 2], activation: "sigmoid", samples: 2 },
};

/** All units and edges. */
function* everything(sizes) {
  for (let layer = 0; layer < sizes.length; layer++) {
    for (let unit = 0; unit < sizes[layer]; unit++) {
      yield { layer, unit };
      for (let from = 0; layer && from < sizes[layer - 1]; from++) yield { layer, unit, from };
    }
  }
}

function* sums(options) {
  const pass = fakePass(options);
  const step = new Step(pass);
  for (const stage of stagesOf(pass.sizes, pass.activation)) {
    for (const picked of everything(pass.sizes)) {
      for (const sum of written(step, stage, picked)) yield { pass, step, stage, picked, sum };
    }
  }
}

for (const [name, options] of Object.entries(CASES)) {
  test(`${name}: each sum comes to the step's number`, () => {
    for (const { stage, picked, sum } of sums(options)) {
      const total = sum.scale * sum.terms.reduce((all, { value }) => all + value, 0);
      const size = sum.scale * sum.terms.reduce((all, { value }) => all + Math.abs(value), 0);
      const where = `${stage.name}, ${JSON.stringify(picked)}: ${sum.title}`;
      // A rounding of single precision for the step's number, and one for each that goes into it.
      assert.ok(Math.abs(total - sum.value) <= 4 * 2 ** -24 * (size + 1e-3), `${where}: ${total}`);
    }
  });

  test(`${name}: what is written are its terms' numbers`, () => {
    for (const { sum } of sums(options)) {
      for (const { text, value } of sum.terms) {
        const script = text
          .replaceAll("−", "-")
          .replaceAll("×", "*")
          .replaceAll("²", "**2")
          .replace(/(tanh|max)\(/g, "Math.$1(")
          .replace(/sigmoid\((.*)\)/, "1 / (1 + Math.exp(-($1)))")
          .replace(/^(-[^*]*)\*\*2/, "($1)**2");
        const said = Function(`return ${script}`)();
        assert.ok(Math.abs(said - value) <= 2e-3 * Math.abs(value) + 2e-3, `${text} ≠ ${value}`);
      }
    }
  });
}

test("what is shown of a unit or an edge is what is written of it", () => {
  for (const { step, stage, picked, sum } of sums({ samples: 5, sizes: [2, 4, 3, 2] })) {
    const { layer, unit, from } = picked;
    if (from === undefined) {
      if (/gradient|loss|new/.test(sum.title + sum.formula)) continue;
      assert.equal(step.units(stage, layer).numbers[unit], sum.value, sum.title);
    } else if (/^The (gradient|weight)/.test(sum.title) && stage.phase !== "update") {
      const shown = step.edges(stage, layer).numbers[unit * step.pass.sizes[layer - 1] + from];
      assert.equal(shown, sum.value, sum.title);
    }
  }
});

test("stage by stage, a unit shows x, z, a, cotangents and its bias's change; an edge what it has", () => {
  const pass = fakePass();
  const step = new Step(pass);
  const stages = stagesOf(pass.sizes, "tanh");
  const kinds = (of) => stages.map((stage) => of(stage)?.kind ?? "-").join(" ");
  const [c, g] = ["cotangent", "gradient"];
  const w = "weight weight weight weight weight weight";
  assert.equal(
    kinds((s) => step.units(s, 0)),
    Array(10).fill("x").join(" "),
  );
  assert.equal(
    kinds((s) => step.units(s, 1)),
    `- z a a a a ${c} ${c} ${c} change`,
  );
  assert.equal(
    kinds((s) => step.units(s, 2)),
    `- - - z z ${c} ${c} ${c} ${c} change`,
  );
  assert.equal(
    kinds((s) => step.edges(s, 1)),
    `${w} weight weight ${g} change`,
  );
  assert.equal(
    kinds((s) => step.edges(s, 2)),
    `${w} ${g} ${g} ${g} change`,
  );
  const ways = (picked) =>
    stages.map((s) => written(step, s, picked).map((sum) => sum.arrow ?? "="));
  const forward = [["→"], ["→"], ["→"]];
  assert.deepEqual(ways({ layer: 1, unit: 0, from: 0 }), [
    ...[["="], ["→"], ["→"], ...forward, ["→"], ["→"]],
    ...[["="], ["="]],
  ]);
  assert.deepEqual(ways({ layer: 2, unit: 0, from: 0 }), [
    ...[["="], ["="], ["="], ...forward],
    ...[["←", "="], ["←", "="], ["←", "="], ["="]],
  ]);
});

test("the update shows by how much weights and biases change", () => {
  const { pass, step, stage } = [...sums({ lr: 2 })].at(-1);
  for (const layer of [1, 2]) {
    for (const [leaf, { numbers }] of [
      ["weight", step.edges(stage, layer)],
      ["bias", step.units(stage, layer)],
    ]) {
      const name = `${2 * layer - 2}.${leaf}`;
      numbers.forEach((change, i) => {
        const [old, now] = [pass.before[name][i], pass.after[name][i]];
        assert.ok(Math.abs(old + change - now) < 2e-7, `${name}[${i}]`);
      });
    }
  }
});

test("on the way back, what flows along a unit's edges adds up to its cotangent", () => {
  const pass = fakePass({ sizes: [2, 4, 3, 2], samples: 3 });
  const step = new Step(pass);
  const stage = stagesOf(pass.sizes, "tanh").find((s) => s.phase === "backward" && s.layer === 2);
  for (let from = 0; from < 4; from++) {
    let total = 0;
    for (let unit = 0; unit < 3; unit++) {
      total += written(step, stage, { layer: 2, unit, from })[0].value;
    }
    const [{ value }] = written(step, stage, { layer: 1, unit: from });
    assert.ok(Math.abs(total - value) < 1e-7, `${total} ≠ ${value}`);
  }
});

test("nothing is written of what isn't known yet, and the inputs are given", () => {
  const pass = fakePass();
  const step = new Step(pass);
  const stages = stagesOf(pass.sizes, "tanh");
  assert.deepEqual(written(step, stages[0], { layer: 1, unit: 0 }), []);
  assert.deepEqual(written(step, stages[2], { layer: 2, unit: 0 }), []);
  for (const stage of stages) {
    const [{ value }] = written(step, stage, { layer: 0, unit: 1 });
    assert.equal(value, pass.inputs[1]);
  }
});
