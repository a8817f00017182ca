/** The guided tour's words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fakePass } from "./fake-pass.mjs";
import { load } from "./load.mjs";

const { number } = await load("microscope/numbers");
const { stagesOf } = await load("microscope/stages");
const { Step } = await load("microscope/step");
const { stopsOf } = await load("microscope/stops");
const { written } = await load("microscope/sums");
const { wayThrough } = await load("microscope/way");

const CASES = [{}, { seed: 5 }, { sizes: [2, 4, 3, 2], activation: "relu", seed: 2 }];
const toured = (options) => {
  const step = new Step(fakePass(options));
  return { step, stops: stopsOf(wayThrough(step)) };
};

test("there are at most eight stops, of two or three sentences a paragraph", () => {
  for (const options of CASES) {
    const { stops } = toured(options);
    assert.ok(stops.length <= 8);
    for (const { title, text } of stops) {
      assert.ok(text.length <= 3, title);
      for (const words of text) assert.ok(words.match(/[.?] |[.?]$/g).length <= 4, words);
    }
  }
});

test("each word of the trade is explained before it is used", () => {
  const { stops } = toured();
  const firstOf = (word) => stops.findIndex(({ text }) => text.join(" ").includes(word));
  for (const [word, by] of [
    ["value", /the number on it is its value/],
    ["weight", /Each line is an edge and has a weight/],
    ["bias", /a number of its own, its bias/],
    ["loss", /The loss is the mean of the squared differences/],
    ["cotangent", /This rate is the output’s cotangent/],
    ["gradient", /This is the weight’s gradient/],
    ["learning rate", /by a part of it, the learning rate/],
  ]) {
    assert.match(stops[firstOf(word)].text.join(" "), by, word);
  }
});

test("each stop shows a stage that there is, and something on it that has a number", () => {
  for (const options of CASES) {
    const { step, stops } = toured(options);
    const stages = stagesOf(step.pass.sizes, step.pass.activation);
    for (const { title, phase, layer, picked } of stops) {
      const stage = stages.find((s) => s.phase === phase && (layer ?? s.layer) === s.layer);
      assert.ok(stage, title);
      if (picked) assert.ok(written(step, stage, picked).length, title);
    }
  }
});

test("it says which way the loss goes", () => {
  const signs = [1, 2, 3, 4, 5, 6].map((seed) => {
    const { step, stops } = toured({ seed });
    const cotangent = step.cotangents.at(-1)[1];
    assert.match(stops[4].text[1], cotangent < 0 ? /^It is negative/ : /^It is positive/);
    return Math.sign(cotangent);
  });
  assert.deepEqual([...new Set(signs)].toSorted(), [-1, 1]);
});

test("what it says of the way back are the step's numbers", () => {
  for (const options of CASES) {
    const { step, stops } = toured(options);
    const stages = stagesOf(step.pass.sizes, step.pass.activation);
    for (const at of [4, 5, 6, 7]) {
      const { phase, layer, picked, text } = stops[at];
      const stage = stages.find((s) => s.phase === phase && (layer ?? s.layer) === s.layer);
      const said = text.join(" ");
      const { value } = written(step, stage, picked)[0];
      assert.ok(said.includes(number(value)), `${number(value)}: ${said}`);
    }
  }
});
