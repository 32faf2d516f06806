/** A list that is appended to. A read returns all of it, an appending the list with the new element at its end. */
import type { Model } from '../model.ts';

export type AppendInput =
  | { readonly type: 'append'; readonly key: string; readonly element: number }
  | { readonly type: 'read'; readonly key: string };
export type AppendOutput = readonly number[];

export const appendListModel: Model<readonly number[], AppendInput, AppendOutput> = {
  name: 'list',
  initial: () => [],
  part: ({ key }) => key,
  readOnly: ({ type }) => type === 'read',
  key: (list) => list.join(),
  step(list, input, output) {
    const after = input.type === 'append' ? [...list, input.element] : list;
    return output === undefined || output.join() === after.join() ? after : undefined;
  },
  marks: {
    of: (input) => (input.type === 'append' ? String(input.element) : undefined),
    shown: (_, output) => output.map(String),
    tellAll: () => true,
  },
  describe(input, output) {
    const asked = input.type === 'append' ? `append ${input.element} to ${input.key}` : `read ${input.key}`;
    return output ? `${asked} -> [${output.join(' ')}]` : `${asked}, outcome unknown`;
  },
};
