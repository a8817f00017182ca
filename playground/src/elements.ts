/** The elements of index.html, by id. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Says something there; what is said already costs no layout. */
export function say(id: string, text: string): void {
  const where = element(id);
  if (where.textContent !== text) where.textContent = text;
}
