/** Random numbers that follow from a seed and a purpose, the same everywhere. */

export type Draw = () => number;

/** Numbers from [0, 1), of 32 random bits: Jenkins' small generator. */
export function draws(seed: number, purpose: string): Draw {
  let [a, b, c, d] = [0xf1ea5eed, seed, hash(purpose), seed];
  const next = () => {
    const e = (a - ((b << 27) | (b >>> 5))) | 0;
    a = b ^ ((c << 17) | (c >>> 15));
    b = (c + d) | 0;
    c = (d + e) | 0;
    d = (e + a) | 0;
    return (d >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 20; i++) next();
  return next;
}

/** From a standard normal distribution, by Box and Muller. */
export function normal(draw: Draw): number {
  return Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
}

/** FNV-1a. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (const letter of text) h = Math.imul(h ^ letter.codePointAt(0)!, 0x01000193);
  return h;
}
