/**
 * The text format in which Prometheus reads metrics (exposition format 0.0.4), from families of samples:
 *
 *   # HELP sparrowkv_gateway_calls_total Calls that have ended.
 *   # TYPE sparrowkv_gateway_calls_total counter
 *   sparrowkv_gateway_calls_total{method="get",outcome="answered"} 17
 *
 * All figures are taken at the moment of the request out of what the server counts anyway, so there is no registry that would hold them a
 * second time. Names follow the conventions of Prometheus: base units (seconds, bytes) last, `_total` for counters.
 */
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  /** A family without samples is left out. */
  readonly samples: readonly Sample[];
}

/** A counter or gauge with one value; left out when that is undefined. The ending of the name tells which it is. */
export function family(name: string, help: string, value: number | undefined): Family {
  return labelled(name, help, value === undefined ? [] : [{ value }]);
}

/** One value for each value of a label; those that are undefined are left out. */
export function byLabel(name: string, help: string, label: string, values: Readonly<Record<string, number | undefined>>): Family {
  const samples = Object.entries(values).flatMap(([of, value]) => (value === undefined ? [] : [{ labels: { [label]: of }, value }]));
  return labelled(name, help, samples);
}

export function labelled(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: name.endsWith('_total') ? 'counter' : 'gauge', samples };
}

export function render(families: readonly Family[]): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`);
    for (const { labels, value } of samples) lines.push(`${name}${labelText(labels)} ${numberText(value)}`);
  }
  return lines.join('\n') + '\n';
}

function labelText(labels: Readonly<Record<string, string>> | undefined): string {
  if (labels === undefined) return '';
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',')}}`;
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
