/** Reads the exposition format strictly: what Prometheus would refuse or warn of throws. */
import { request } from 'node:http';

export interface Scraped {
  readonly types: ReadonlyMap<string, string>;
  /** By name with labels, as they stand there. */
  readonly values: ReadonlyMap<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(\\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*",?)*\\})? (\\S+)$`);
/** Counts and states have no unit. */
const FORBIDDEN_UNITS = /_(ms|milliseconds|kb|mb|kib|mib|percent|minutes|hours)(_total)?$/;

export function parse(text: string): Scraped {
  const types = new Map<string, string>();
  const helped = new Set<string>();
  const values = new Map<string, number>();
  let current = '';
  if (!text.endsWith('\n')) throw new Error('the last line ends with a newline');
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge)$/.exec(line);
    if (help) {
      if (helped.has(help[1]!)) throw new Error(`helped twice: ${line}`);
      helped.add(help[1]!);
    } else if (type) {
      const [, name, kind] = type;
      if (!helped.has(name!)) throw new Error(`no help before: ${line}`);
      if (types.has(name!)) throw new Error(`a family in two places: ${line}`);
      if ((kind === 'counter') !== name!.endsWith('_total')) throw new Error(`counters, and only they, end with _total: ${line}`);
      if (FORBIDDEN_UNITS.test(name!)) throw new Error(`not a base unit: ${line}`);
      types.set(name!, kind!);
      current = name!;
    } else {
      const sample = SAMPLE.exec(line);
      if (!sample) throw new Error(`neither a comment nor a sample: ${line}`);
      if (sample[1] !== current) throw new Error(`a sample outside of its family: ${line}`);
      const key = `${sample[1]}${sample[2] ?? ''}`;
      if (values.has(key)) throw new Error(`a sample twice: ${line}`);
      const value = Number(sample[3]);
      if (!Number.isFinite(value)) throw new Error(`not a finite number: ${line}`);
      if (types.get(current) === 'counter' && value < 0) throw new Error(`a counter below 0: ${line}`);
      values.set(key, value);
    }
  }
  return { types, values };
}

export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export function http(address: string, path = '/metrics', method = 'GET'): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request(`http://${address}${path}`, { method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode!, type: String(response.headers['content-type']), body });
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}
