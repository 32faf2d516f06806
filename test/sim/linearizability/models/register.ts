/**
 * A register with versions: read, write, delete, and writes that depend on the version (compare and set). Versions only grow; each effective
 * write and delete gets a new one. A missing value has version 0 and is expected by that.
 */
import type { Model } from '../model.ts';

export type RegisterInput =
  | { readonly type: 'read'; readonly key: string }
  | { readonly type: 'write'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'cas'; readonly key: string; readonly value: string; readonly expected: number };

/** `value` undefined: missing. `done`: of a write or delete its new version; of a compare and set that was refused, false and what stands there. */
export type RegisterOutput =
  | { readonly type: 'read'; readonly value: string | undefined; readonly version: number }
  | { readonly type: 'done'; readonly version: number }
  | { readonly type: 'refused'; readonly value: string | undefined; readonly version: number };

export interface RegisterState {
  /** Undefined: missing. */
  readonly value: string | undefined;
  /** The version of the last write or delete; undefined: more than `above`, and nobody has told yet. */
  readonly changed: number | undefined;
  readonly above: number;
}

export const registerModel: Model<RegisterState, RegisterInput, RegisterOutput> = {
  name: 'register',
  initial: () => ({ value: undefined, changed: 0, above: 0 }),
  part: ({ key }) => key,
  readOnly: ({ type }) => type === 'read',
  key: ({ value, changed, above }) => `${value === undefined ? '-' : `=${value}`} ${changed ?? `>${above}`}`,
  step(state, input, output) {
    if (output === undefined || output.type === 'done') {
      if (input.type === 'read') return output ? undefined : state;
      const before = input.type === 'cas' ? withVersion(state, input.expected) : state;
      return before && written(before, input.type === 'delete' ? undefined : input.value, output?.version);
    }
    if (output.type === 'read' ? input.type !== 'read' : input.type !== 'cas' || input.expected === output.version) return undefined;
    return state.value === output.value ? withVersion(state, output.version) : undefined;
  },
  marks: {
    of: (input) => ('value' in input ? input.value : undefined),
    shown: (_, output) => (output.type === 'done' || output.value === undefined ? [] : [output.value]),
    // Unless somebody expects a version that nobody was told: it might be that of a write that nobody saw.
    tellAll(operations) {
      const told = new Set([0, ...operations.flatMap(({ response }) => (response ? [response.output.version] : []))]);
      return operations.every(({ input }) => input.type !== 'cas' || told.has(input.expected));
    },
  },
  describe(input, output) {
    const asked =
      input.type === 'read' || input.type === 'delete'
        ? `${input.type} ${input.key}`
        : input.type === 'write'
          ? `write ${input.key} = ${input.value}`
          : `write ${input.key} = ${input.value} if version ${input.expected}`;
    if (!output) return `${asked}, outcome unknown`;
    if (output.type === 'done') return `${asked} -> version ${output.version}`;
    return `${asked} -> ${output.type === 'refused' ? 'refused: ' : ''}${output.value ?? 'missing'} (version ${output.version})`;
  },
};

/** The state in which a read shows this version, or undefined where it cannot. */
function withVersion(state: RegisterState, version: number): RegisterState | undefined {
  if (state.value === undefined) return version === 0 ? state : undefined;
  if (state.changed !== undefined) return state.changed === version ? state : undefined;
  return version > state.above ? { value: state.value, changed: version, above: version } : undefined;
}

function written(before: RegisterState, value: string | undefined, version: number | undefined): RegisterState | undefined {
  // A version that nobody has told yet is at least one more than what is known to be below it.
  const above = before.changed ?? before.above + 1;
  if (version !== undefined && version <= above) return undefined;
  return { value, changed: version, above: version ?? above };
}
