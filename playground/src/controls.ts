/** What the visitor does: buttons, choices, sliders, keys. */

import { DATA, NOISES } from "./data";
import { element, say } from "./elements";
import { BATCHES, type Setup, UNITS } from "./link";
import type { Page } from "./page";

const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const SPEEDS = [1, 3, 10, 30, 100, 300, 1000, 3000, Infinity];

const BUTTONS = ["play", "step", "epoch", "reset", "clear", "restore", "link"] as const;
const KEYS: Record<string, (typeof BUTTONS)[number]> = {
  " ": "play",
  s: "step",
  e: "epoch",
  r: "reset",
};

type Choice = Exclude<keyof Setup, "lr">;

/** What follows from each; what goes wrong there is caught. */
export interface Actions extends Record<(typeof BUTTONS)[number], () => unknown> {
  setup(other: Partial<Setup>): unknown;
  lr(lr: number): unknown;
  speed(stepsPerSecond: number): unknown;
}

export function connect(page: Page, lr: number, speed: number, actions: Actions): void {
  for (const name of BUTTONS) element(name).addEventListener("click", actions[name]);
  for (const [name, values] of Object.entries(choices(page))) {
    const select = element<HTMLSelectElement>(name);
    select.replaceChildren(...values.map((value) => new Option(String(value))));
    select.addEventListener("change", () =>
      actions.setup({ [name]: values[select.selectedIndex] }),
    );
  }
  slider("lr", RATES, lr, actions.lr);
  slider("speed", SPEEDS, speed, actions.speed);
  document.addEventListener("keydown", (event) => {
    const name = KEYS[event.key];
    const target = event.target as Element;
    // These take the key themselves.
    const taken = event.key === " " ? "button, input:not([type=range]), select" : "select";
    if (!name || event.ctrlKey || event.metaKey || event.altKey || target.closest(taken)) return;
    event.preventDefault();
    element(name).click();
  });
}

/** Shows what a link or a reset brought. */
export function showSetup(page: Page, setup: Setup): void {
  for (const [name, values] of Object.entries(choices(page))) {
    const value = setup[name as Choice];
    const select = element<HTMLSelectElement>(name);
    select.selectedIndex = values.indexOf(value);
    if (select.selectedIndex < 0) {
      // A link may say what is not on offer.
      select.add(new Option(String(value), undefined, true, true));
    }
  }
  const away = RATES.map((rate) => Math.abs(Math.log(rate / setup.lr)));
  element<HTMLInputElement>("lr").value = String(away.indexOf(Math.min(...away)));
  showValue("lr", setup.lr);
}

export function enable(): void {
  for (const button of document.querySelectorAll("button")) button.disabled = false;
}

function choices(page: Page): Record<Choice, (string | number)[]> {
  const from = (least: number, most: number) =>
    Array.from({ length: most - least + 1 }, (_, i) => least + i);
  return {
    data: DATA,
    noise: NOISES,
    activation: page.activations,
    layers: from(1, page.depth),
    units: from(UNITS.least, UNITS.most),
    batch: BATCHES,
    seed: from(0, page.seeds - 1),
  };
}

function slider(id: string, values: number[], start: number, moved: (v: number) => unknown): void {
  const input = element<HTMLInputElement>(id);
  input.max = String(values.length - 1);
  input.value = String(values.indexOf(start));
  const show = () => showValue(id, values[Number(input.value)]!);
  input.addEventListener("input", () => {
    show();
    moved(values[Number(input.value)]!);
  });
  show();
}

function showValue(id: string, value: number): void {
  const text = Number.isFinite(value) ? String(value) : "all it can";
  element(id).setAttribute("aria-valuetext", text);
  say(`${id}-value`, text);
}
