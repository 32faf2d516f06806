/** Where things go on a chart. Pure. */

/** The least round number (1, 2, 4, 6 or 8 times a power of ten: a quarter of it is round, too) that is not below `most`; 1 at least where nothing is. */
export function roundUp(most: number): number {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  for (const step of [1, 2, 4, 6, 8, 10]) if (step * power >= most * (1 - 1e-9)) return step * power;
  return 10 * power;
}

/** The same for bytes: 1, 2, 4 ... times a power of 1,024. */
export function roundUpBytes(most: number): number {
  if (!(most > 0)) return 1024;
  return 2 ** Math.ceil(Math.log2(most) - 1e-9);
}

/** A chart's path through points, `M0 1L2 3`. A gap of more than `gap` in x begins a new line. */
export function pathOf(points: readonly (readonly [x: number, y: number])[], gap: number): string {
  let path = '';
  let before = -Infinity;
  for (const [x, y] of points) {
    path += `${path === '' || x - before > gap ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    before = x;
  }
  return path;
}

/** The area between two lines over the same places. A gap is bridged by nothing: there are as many areas as pieces. */
export function areaOf(points: readonly (readonly [x: number, low: number, high: number])[], gap: number): string {
  let path = '';
  let piece: (readonly [number, number, number])[] = [];
  const end = (): void => {
    if (piece.length > 1) {
      const there = piece.map(([x, , high]) => `${x.toFixed(1)} ${high.toFixed(1)}`).join('L');
      const back = piece
        .toReversed()
        .map(([x, low]) => `${x.toFixed(1)} ${low.toFixed(1)}`)
        .join('L');
      path += `M${there}L${back}Z`;
    }
    piece = [];
  };
  for (const point of points) {
    if (piece.length > 0 && point[0] - piece.at(-1)![0] > gap) end();
    piece.push(point);
  }
  end();
  return path;
}

/** The index of the point nearest to `x`. */
export function nearest(xs: readonly number[], x: number): number {
  let best = 0;
  for (const [index, at] of xs.entries()) if (Math.abs(at - x) < Math.abs(xs[best]! - x)) best = index;
  return best;
}

/** Which of `steps` equal parts (0 to steps - 1) a value has of the most; a root spreads the many that are small. */
export function stepOf(value: number, most: number, steps: number): number {
  if (!(most > 0) || !(value > 0)) return 0;
  return Math.min(steps - 1, Math.floor(Math.sqrt(Math.min(1, value / most)) * steps));
}
