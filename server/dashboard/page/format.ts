/** How figures are shown: short, and always with their unit, which no line break parts from them. Pure. */
const NBSP = '\u00a0';
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const COUNT = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** 0 B, 512 B, 1.4 KiB, 23 MiB. */
export function bytes(value: number): string {
  let unit = 0;
  let left = value;
  while (left >= 1023.5 && unit < UNITS.length - 1) {
    left /= 1024;
    unit++;
  }
  return `${unit > 0 && left < 9.95 ? left.toFixed(1) : left.toFixed(0)}${NBSP}${UNITS[unit]}`;
}

/** 1,234,567. */
export function count(value: number): string {
  return COUNT.format(value);
}

/** 7, 950, 1.2 k, 38 k, 4.1 M. */
export function short(value: number): string {
  const [left, unit] =
    value >= 999_500_000
      ? [value / 1e9, `${NBSP}G`]
      : value >= 999_500
        ? [value / 1e6, `${NBSP}M`]
        : value >= 999.5
          ? [value / 1e3, `${NBSP}k`]
          : [value, ''];
  const digits = left < 9.95 && (unit !== '' || (left > 0 && left % 1 > 0.04)) ? 1 : 0;
  return `${left.toFixed(digits)}${unit}`;
}

export function perSecond(value: number): string {
  return `${short(value)}/s`;
}

export function bytesPerSecond(value: number): string {
  return `${bytes(value)}/s`;
}

/** A part of one. */
export function percent(part: number): string {
  const value = part * 100;
  return `${value > 0 && value < 0.95 ? value.toFixed(1) : value.toFixed(0)}${NBSP}%`;
}

/** 0.4 s, 12 s, 5 min, 3 h, 2 days. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 1) return `${seconds.toFixed(1)}${NBSP}s`;
  if (seconds < 90) return `${seconds.toFixed(0)}${NBSP}s`;
  if (seconds < 90 * 60) return `${(seconds / 60).toFixed(0)}${NBSP}min`;
  if (seconds < 36 * 3600) return `${(seconds / 3600).toFixed(0)}${NBSP}h`;
  return `${(seconds / 86_400).toFixed(0)}${NBSP}days`;
}

const TIMES = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
  [1, 'ms'],
] as const;

/** What somebody has set, in the largest unit that says it exactly: 36 h, 30 d. */
export function setTime(milliseconds: number): string {
  const [size, unit] = TIMES.find(([each]) => milliseconds > 0 && milliseconds % each === 0) ?? [1, 'ms'];
  return `${count(milliseconds / size)}${NBSP}${unit}`;
}

/** `3 shards`, `1 shard`. */
export function plural(number: number, word: string): string {
  return `${count(number)}${NBSP}${word}${number === 1 ? '' : 's'}`;
}

export function timeOfDay(atMs: number): string {
  return new Date(atMs).toLocaleTimeString('en-GB');
}

export function dayAndTime(atMs: number): string {
  return `${new Date(atMs).toLocaleDateString('en-CA')} ${timeOfDay(atMs)}`;
}

/** `a, b and 4 more`. */
export function listed(items: readonly string[], shown: number): string {
  if (items.length <= shown) return items.join(', ');
  return `${items.slice(0, shown).join(', ')} and ${count(items.length - shown)} more`;
}
