import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../base/errors.ts';
import { DETAILS_BYTES_MAX, errorOf, failureOf, RPC_STATUS } from '../../base/rpc-status.ts';

describe('an error over gRPC', () => {
  it.each(['invalid', 'conflict', 'rerouted', 'unavailable', 'exhausted', 'closed', 'corrupt', 'cancelled', 'internal'] as const)(
    'of kind %s is the same on the other side',
    (kind) => {
      const error = new SparrowError(kind, 'SOME_CODE', 'what happened: Öl', { field: 'kéy', limit: 4000, ok: false, none: null });
      const failure = failureOf(error);
      expect(failure.status).toBeGreaterThan(0);
      expect(failure.details).toMatch(/^[\x20-\x7e]*$/);
      expect(errorOf(failure)).toEqual(error);
    },
  );

  it('that is a timeout has the status that gRPC gives timeouts', () => {
    expect(failureOf(new SparrowError('unavailable', 'TIMEOUT', 'late')).status).toBe(RPC_STATUS.DEADLINE_EXCEEDED);
  });

  it('that is no SparrowError is internal', () => {
    expect(failureOf(new TypeError('x is not a function'))).toMatchObject({
      status: RPC_STATUS.INTERNAL,
      kind: 'internal',
      code: 'INTERNAL',
    });
    expect(failureOf('thrown text')).toMatchObject({ message: 'thrown text' });
  });

  it('fits into trailers however much it says', () => {
    const failure = failureOf(new SparrowError('invalid', 'X', 'm'.repeat(2000), { text: 'd'.repeat(9000) }));
    expect(failure.message.length).toBeLessThanOrEqual(1024);
    expect(failure.details.length).toBeLessThanOrEqual(DETAILS_BYTES_MAX);
    expect(() => encodeURI(failureOf(new SparrowError('invalid', 'X', '\ud800')).message)).not.toThrow();
  });

  it('without our trailers means what its status says', () => {
    const bare = (status: number): SparrowError => errorOf({ status, kind: '', code: '', message: '', details: '' });
    expect(bare(RPC_STATUS.UNAVAILABLE)).toMatchObject({ kind: 'unavailable', code: 'RPC_UNAVAILABLE' });
    expect(bare(RPC_STATUS.DEADLINE_EXCEEDED)).toMatchObject({ kind: 'unavailable', code: 'TIMEOUT' });
    expect(bare(RPC_STATUS.UNIMPLEMENTED)).toMatchObject({ kind: 'invalid', code: 'RPC_UNIMPLEMENTED' });
    expect(bare(99)).toMatchObject({ kind: 'internal' });
    for (let status = 1; status <= 16; status++) expect(bare(status).code).not.toBe('');
  });

  it('takes nothing on trust', () => {
    const failure = { status: 3, kind: 'invalid', code: 'X', message: 'm' };
    expect(errorOf({ ...failure, details: '{"a":1,"b":{"c":2},"d":[1]}' }).details).toEqual({ a: 1 });
    expect(errorOf({ ...failure, details: 'no json' }).details).toEqual({ detailsUnreadable: true });
    expect(errorOf({ ...failure, details: '[1]' }).details).toEqual({ detailsUnreadable: true });
    expect(errorOf({ ...failure, kind: 'toString', details: '' })).toMatchObject({ kind: 'invalid', code: 'RPC_INVALID_ARGUMENT' });
  });
});
