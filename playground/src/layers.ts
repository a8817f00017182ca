/** For each layer its formulas, and the lines of the library that compute them. */

import type { Line, Page } from "./page";

/** Of a network with these layers of units. */
export function showLayers(
  parent: HTMLElement,
  page: Page,
  activation: string,
  sizes: number[],
): void {
  const linears = sizes.slice(1).map((_, i) => 2 * i);
  const layers = (of: number[]) => `${of.length > 1 ? "layers" : "layer"} ${of.join(", ")}`;
  const where: Record<string, string> = {
    linear: layers(linears),
    [activation]: layers(linears.slice(1).map((i) => i - 1)),
    mse: "the loss",
    sgd: "the update",
  };
  parent.replaceChildren(...Object.entries(where).map(([name, which]) => card(page, name, which)));
}

function card(page: Page, name: string, which: string): HTMLElement {
  const card = tag("article", "card");
  const title = tag("h3", "", name);
  title.append(tag("small", "", which));
  const formulas = page.formulas[name]!.map((html) => {
    const formula = tag("p", "formula");
    formula.innerHTML = html; // the page's own
    return formula;
  });
  card.append(title, ...formulas);
  const lines = page.lines[name]!;
  for (const file of new Set(lines.map((line) => line.file))) {
    const code = tag("pre", "");
    code.append(...numbered(lines.filter((line) => line.file === file)).map(row));
    card.append(tag("p", "help", file), code);
  }
  return card;
}

/** Each once, in their order in the file. */
function numbered(lines: Line[]): Line[] {
  return [...new Map(lines.map((line) => [line.number, line])).values()].sort(
    (a, b) => a.number - b.number,
  );
}

function row(line: Line): HTMLElement {
  const row = tag("code", "", line.text);
  row.dataset.line = String(line.number);
  return row;
}

function tag(name: string, of: string, text = ""): HTMLElement {
  const made = document.createElement(name);
  made.className = of;
  made.textContent = text;
  return made;
}
