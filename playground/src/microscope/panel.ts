/** In words: the stage, and the number of what is picked, as the sum that makes it. */

import { element, say } from "../elements";
import type { Picked } from "../picking";
import { showLegend } from "./legend";
import { number } from "./numbers";
import type { Term, What, Written } from "./parts";
import type { Stage } from "./stages";
import type { Step } from "./step";
import { written } from "./sums";

export interface Line {
  file: string;
  number: number;
  text: string;
}

export type LineOf = (layer: string, what: What) => Line[];

const FIRST = 3; // terms that are written before the rest is taken together
const QUIET = 600; // ms without a change, after which it is read out

export function tell(step: Step, stage: Stage, picked: Picked | undefined, lineOf: LineOf): void {
  say("microscope-stage-name", stage.name);
  say("microscope-stage-says", stage.says);
  showLegend(step, stage);
  const sums = picked ? written(step, stage, picked) : [];
  const parts = sums.map((sum) => article(sum, lineOf));
  if (picked && !sums.length) parts.push(made("p", "help", "It has no number at this stage yet."));
  element("microscope-sums").replaceChildren(...parts);
  readOut(stage, sums);
}

let timer: ReturnType<typeof setTimeout> | undefined;

/** Tells who listens where it stands, when it stands still. */
function readOut(stage: Stage, sums: Written[]): void {
  clearTimeout(timer);
  const numbers = sums.map(({ title, value }) => `${title}: ${number(value)}.`);
  timer = setTimeout(() => say("microscope-live", [`${stage.name}.`, ...numbers].join(" ")), QUIET);
}

function article(sum: Written, lineOf: LineOf): HTMLElement {
  const { title, formula, terms, scaled, value, computedBy } = sum;
  const whole = made("article", "sum");
  const result = made("p", "written");
  const several = terms.length > 1;
  result.append("= ", scaled && several ? "(" : "");
  pieces(terms).forEach((piece, i) => {
    const taken = piece.startsWith("− ");
    if (i) result.append(taken ? " " : " + ");
    const bare = i && !taken && piece.startsWith("−");
    result.append(made("span", "term", bare ? `(${piece})` : piece));
  });
  result.append(scaled && several ? ") " : " ", scaled);
  const total = made("p", "total", `= ${number(value)}`);
  whole.append(
    made("h4", "", title[0]!.toUpperCase() + title.slice(1)),
    made("p", "formula-text", formula),
  );
  if (several || scaled || terms[0]?.text !== number(value)) whole.append(result);
  whole.append(total);
  if (computedBy) whole.append(...lineOf(...computedBy).map(code));
  return whole;
}

/** The terms, or the first of them and the rest in one. */
function pieces(terms: Term[]): string[] {
  if (terms.length <= FIRST + 2) return terms.map(({ text }) => text);
  const rest = terms.slice(FIRST);
  const sum = rest.reduce((total, { value }) => total + value, 0);
  return [
    ...terms.slice(0, FIRST).map(({ text }) => text),
    `${rest.length} more, together ${number(sum)}`,
  ];
}

function code({ file, number: line, text }: Line): HTMLElement {
  const block = made("figure", "line");
  block.append(made("figcaption", "", `${file}, line ${line}`), made("code", "", text));
  return block;
}

function made(tag: string, of: string, text = ""): HTMLElement {
  const element = document.createElement(tag);
  if (of) element.className = of;
  element.textContent = text;
  return element;
}
