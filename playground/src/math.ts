/** A formula of a docstring as MathML, and after it its words. */

const NAMESPACE = "http://www.w3.org/1998/Math/MathML";

/** What is raised or lowered, and to what. */
const SCRIPTS: Record<string, [kind: "msup" | "msub", tag: "mi" | "mn", text: string]> = {
  ᵀ: ["msup", "mi", "T"],
  "²": ["msup", "mn", "2"],
  _N: ["msub", "mi", "N"],
};

export function formula(text: string): HTMLElement {
  const [, mathematics, words] = /^(.*?)((?:,? (?:where|for) .*)?)\.?$/.exec(text)!;
  const row = element("mrow");
  for (const [token] of mathematics!.matchAll(/[ᵀ²]|_N|[A-Za-z]+|\d+|\S/g)) {
    const script = SCRIPTS[token];
    if (script) {
      const [kind, tag, what] = script;
      row.append(element(kind, row.lastChild!, element(tag, what)));
    } else {
      row.append(element(/\d/.test(token) ? "mn" : /[A-Za-z]/.test(token) ? "mi" : "mo", token));
    }
  }
  const whole = document.createElement("p");
  whole.className = "formula";
  whole.append(element("math", row), words!);
  return whole;
}

function element(tag: string, ...children: (Node | string)[]): Element {
  const made = document.createElementNS(NAMESPACE, tag);
  made.append(...children);
  if (tag === "mo") made.setAttribute("stretchy", "false");
  return made;
}
