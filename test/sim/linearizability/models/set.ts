/** A set: elements are added one by one and never removed; a read returns all of them. */
import type { Model } from '../model.ts';

export type SetInput = { readonly type: 'add'; readonly element: number } | { readonly type: 'read' };
/** Of a read the elements, ascending; of an addition nothing. */
export type SetOutput = readonly number[];

export const setModel: Model<readonly number[], SetInput, SetOutput> = {
  name: 'set',
  initial: () => [],
  readOnly: ({ type }) => type === 'read',
  key: (elements) => elements.join(),
  step(elements, input, output) {
    if (input.type === 'add') {
      return elements.includes(input.element) ? elements : [...elements, input.element].sort((a, b) => a - b);
    }
    return output === undefined || output.join() === elements.join() ? elements : undefined;
  },
  marks: {
    of: (input) => (input.type === 'add' ? String(input.element) : undefined),
    shown: (_, output) => output.map(String),
    tellAll: () => true,
  },
  describe(input, output) {
    if (input.type === 'add') return `add ${input.element}${output ? '' : ', outcome unknown'}`;
    return `read${output ? ` -> {${output.join(' ')}}` : ', outcome unknown'}`;
  },
};
