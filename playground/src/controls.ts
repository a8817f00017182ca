/** What the visitor does: buttons, sliders, keys. */

import { element, say } from "./elements";
import type { State } from "./link";
import { page } from "./page";

const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const SPEEDS = [1, 3, 10, 30, 100, 300, 1000, 3000, Infinity];
export const START_SPEED = 100;

const BUTTONS = ["play", "step", "epoch", "reset", "clear", "restore", "link"] as const;
const KEYS: Record<string, (typeof BUTTONS)[number]> = {
  " ": "play",
  s: "step",
  e: "epoch",
  r: "reset",
};

/** What follows from each. */
export interface Actions extends Record<(typeof BUTTONS)[number], () => void> {
  network(name: string): void;
  seed(seed: number): void;
  lr(lr: number): void;
  speed(stepsPerSecond: number): void;
}

export function connect(actions: Actions): void {
  for (const name of BUTTONS) element(name).addEventListener("click", actions[name]);
  options("network", page.networks, actions.network);
  const seeds = Array.from({ length: page.seeds }, (_, i) => String(i));
  options("seed", seeds, (seed) => actions.seed(Number(seed)));
  slider("lr", RATES, page.lr, actions.lr);
  slider("speed", SPEEDS, START_SPEED, actions.speed);
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
export function showState({ network, seed, lr }: Pick<State, "network" | "seed" | "lr">): void {
  element<HTMLSelectElement>("network").value = network;
  element<HTMLSelectElement>("seed").value = String(seed);
  const away = RATES.map((rate) => Math.abs(Math.log(rate / lr)));
  element<HTMLInputElement>("lr").value = String(away.indexOf(Math.min(...away)));
  showValue("lr", lr);
}

export function enable(): void {
  for (const name of BUTTONS) element<HTMLButtonElement>(name).disabled = false;
}

function options(id: string, values: string[], chosen: (value: string) => void): void {
  const select = element<HTMLSelectElement>(id);
  select.replaceChildren(...values.map((value) => new Option(value)));
  select.addEventListener("change", () => chosen(select.value));
}

function slider(id: string, values: number[], start: number, moved: (value: number) => void): void {
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
