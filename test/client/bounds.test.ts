import { expect, it } from 'vitest';
import { boundsOf } from '../../client/bounds.ts';

it('the prefix of a scan stays as its owner has it', () => {
  const prefix = Buffer.from('d/');
  expect(Buffer.from(boundsOf({ prefix })!.end!).toString()).toBe('d0');
  expect(prefix.toString()).toBe('d/');
});
