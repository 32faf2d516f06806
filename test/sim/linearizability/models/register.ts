/**
 * A register with versions: read, write, and writes that depend on the version (compare and set). Versions only grow; each effective write
 * gets a new one. A missing value has version 0 and cannot be expected by a version, only as absent: `expected` 0.
 */
import type { Model } from '../model.ts';

export type RegisterInput =
  | { readonly type: 'read'; readonly key: string }
  | { readonly type: 'write'; readonly key: string; readonly value: string }
  | { readonly type: 'cas'; readonly key: string; readonly value: string; readonly expected: number };

/** `value` undefined: missing. `done`: of a write its new version; of a compare and set that was refused, false and what stands there. */
export type RegisterOutput =
  | { readonly type: 'read'; readonly value: string | undefined; readonly version: number }
  | { readonly type: 'done'; readonly version: number }
  | { readonly type: 'refused'; readonly value: string | undefined; readonly version: number };

export interface RegisterState {
  readonly value: string | undefined;
  /** Undefined: more than `above`, and nobody has told yet. */
  readonly version: number | undefined;
  readonly above: number;
}

export const registerModel: Model<RegisterState, RegisterInput, RegisterOutput> = {
  name: 'register',
  initial: () => ({ value: undefined, version: 0, above: 0 }),
  part: ({ key }) => key,
  readOnly: ({ type }) => type === 'read',
  key: ({ value, version, above }) => `${value === undefined ? '-' : `=${value}`} ${version ?? `>${above}`}`,
  step(state, input, output) {
    if (output === undefined) {
      if (input.type === 'read') return state;
      if (input.type === 'write') return written(state, input.value, undefined);
      const expected = withVersion(state, input.expected);
      return expected && written(expected, input.value, undefined);
    }
    if (output.type === 'done') {
      if (input.type === 'read') return undefined;
      const before = input.type === 'cas' ? withVersion(state, input.expected) : state;
      return before && written(before, input.value, output.version);
    }
    if ((input.type === 'cas') !== (output.type === 'refused') || input.type === 'write') return undefined;
    if (input.type === 'cas' && input.expected === output.version) return undefined;
    if (state.value !== output.value) return undefined;
    return withVersion(state, output.version);
  },
  marks: {
    of: (input) => (input.type === 'read' ? undefined : input.value),
    shown: (_, output) => (output.type === 'done' || output.value === undefined ? [] : [output.value]),
    // Unless somebody expects a version that nobody was told: it might be that of a write that nobody saw.
    tellAll(operations) {
      const told = new Set([0, ...operations.flatMap(({ response }) => (response ? [response.output.version] : []))]);
      return operations.every(({ input }) => input.type !== 'cas' || told.has(input.expected));
    },
  },
  describe(input, output) {
    const asked =
      input.type === 'read'
        ? `read ${input.key}`
        : input.type === 'write'
          ? `write ${input.key} = ${input.value}`
          : `write ${input.key} = ${input.value} if version ${input.expected}`;
    if (!output) return `${asked}, outcome unknown`;
    if (output.type === 'done') return `${asked} -> version ${output.version}`;
    return `${asked} -> ${output.type === 'refused' ? 'refused: ' : ''}${output.value ?? 'missing'} (version ${output.version})`;
  },
};

/** The state in which the version is known to be this one, or undefined where it is not. */
function withVersion(state: RegisterState, version: number): RegisterState | undefined {
  if (state.version !== undefined) return state.version === version ? state : undefined;
  return version > state.above ? { value: state.value, version, above: version } : undefined;
}

function written(before: RegisterState, value: string, version: number | undefined): RegisterState | undefined {
  // A version that nobody has told yet is at least one more than what is known to be below it.
  const above = before.version ?? before.above + 1;
  if (version !== undefined && version <= above) return undefined;
  return { value, version, above: version ?? above };
}
