/** For each layer its formulas, and the lines of the library that compute them. */

import { formula } from "./math";
import { page } from "./page";

export function showLayers(parent: HTMLElement, network: string): void {
  const activation = network.toLowerCase();
  const linears = page.sizes.slice(1).map((_, i) => 2 * i);
  const where: Record<string, string> = {
    linear: `layers ${linears.join(", ")}`,
    [activation]: `layers ${linears
      .slice(1)
      .map((i) => i - 1)
      .join(", ")}`,
    mse: "the loss",
    sgd: "the update",
  };
  parent.replaceChildren(...Object.entries(where).map(([name, which]) => card(name, which)));
}

function card(name: string, which: string): HTMLElement {
  const { file, formulas, lines } = page.layers[name]!;
  const card = tag("article", "card");
  const title = tag("h3", "", name);
  title.append(tag("small", "", which));
  const code = tag("pre", "");
  for (const [number, line] of lines) {
    const row = tag("code", "", line);
    row.dataset.line = String(number);
    code.append(row);
  }
  card.append(title, ...formulas.map(formula), tag("p", "help", file), code);
  return card;
}

function tag(name: string, of: string, text = ""): HTMLElement {
  const made = document.createElement(name);
  made.className = of;
  made.textContent = text;
  return made;
}
