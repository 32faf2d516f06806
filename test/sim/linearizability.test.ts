import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLinearizable } from './linearizability/brute-force.ts';
import {
  appendListModel,
  type AppendInput,
  type AppendOutput,
  bankModel,
  type BankInput,
  type BankOutput,
  check,
  counterModel,
  type CounterInput,
  type CounterOutput,
  History,
  type Model,
  type Operation,
  registerModel,
  type RegisterInput,
  type RegisterOutput,
  setModel,
  type SetInput,
  type SetOutput,
} from './linearizability/index.ts';

/** What happened, in order: `c0 { ... }` begins an operation of client 0, `c0 answer` ends it; operations that never end are unknown. */
type Event<I, O> =
  | readonly [client: number, begin: I]
  | readonly [client: number, 'answers', output: O]
  | readonly [client: number, 'refused'];

function history<I, O>(...events: readonly Event<I, O>[]): readonly Operation<I, O>[] {
  let nowMs = 0;
  const recorded = new History<I, O>(() => nowMs);
  const open = new Map<number, ReturnType<typeof recorded.invoke>>();
  for (const [client, what, output] of events) {
    nowMs++;
    if (what === 'answers') open.get(client)!.respond(output as O);
    else if (what === 'refused') open.get(client)!.refuse();
    else open.set(client, recorded.invoke(client, what));
  }
  return recorded.operations;
}

/** Operations of one client, one after another. */
function oneByOne<I, O>(...done: readonly (readonly [I, O])[]): Event<I, O>[] {
  return done.flatMap(([input, output]): Event<I, O>[] => [
    [0, input],
    [0, 'answers', output],
  ]);
}

function verdictOf<S, I, O>(model: Model<S, I, O>, ...events: readonly Event<I, O>[]): string {
  return check(model, history(...events)).verdict;
}

const read: RegisterInput = { type: 'read', key: 'k' };
const write = (value: string): RegisterInput => ({ type: 'write', key: 'k', value });
const cas = (value: string, expected: number): RegisterInput => ({ type: 'cas', key: 'k', value, expected });
const done = (version: number): RegisterOutput => ({ type: 'done', version });
const is = (value: string | undefined, version: number): RegisterOutput => ({ type: 'read', value, version });
const refused = (value: string | undefined, version: number): RegisterOutput => ({ type: 'refused', value, version });
type RegisterEvent = Event<RegisterInput, RegisterOutput>;

describe('a register', () => {
  const written: RegisterEvent[] = oneByOne([write('a'), done(2)], [write('b'), done(5)]);

  it('may show a write that is under way, or not yet', () => {
    const between: RegisterEvent[] = [...oneByOne([write('a'), done(2)]), [1, write('b')]];
    expect(verdictOf(registerModel, ...between, ...oneByOne([read, is('a', 2)], [read, is('b', 3)]), [1, 'answers', done(3)])).toBe('ok');
    expect(verdictOf(registerModel, ...between, ...oneByOne([read, is('b', 3)], [read, is('a', 2)]), [1, 'answers', done(3)])).toBe(
      'violation',
    );
  });

  it('does not show what was overwritten: a stale read', () => {
    expect(verdictOf(registerModel, ...written, ...oneByOne([read, is('b', 5)]))).toBe('ok');
    expect(verdictOf(registerModel, ...written, ...oneByOne([read, is('a', 2)]))).toBe('violation');
  });

  it('does not lose a write', () => {
    expect(verdictOf(registerModel, ...oneByOne([write('a'), done(2)], [read, is(undefined, 0)]))).toBe('violation');
  });

  it('lets a write of unknown outcome take effect late, or never, but once', () => {
    const unknown: RegisterEvent[] = [[1, write('x')], ...written];
    expect(verdictOf(registerModel, ...unknown, ...oneByOne([read, is('b', 5)], [read, is('x', 7)]))).toBe('ok');
    expect(verdictOf(registerModel, ...unknown, ...oneByOne([read, is('x', 3)]))).toBe('violation');
    expect(
      verdictOf(registerModel, ...unknown, ...oneByOne([read, is('x', 7)], [write('c'), done(8)], [read, is('x', 9)])),
      'applied twice',
    ).toBe('violation');
  });

  it('does not show a write that was refused', () => {
    const failed: RegisterEvent[] = [
      [1, write('x')],
      [1, 'refused'],
    ];
    expect(verdictOf(registerModel, ...failed, ...oneByOne([read, is('x', 3)]))).toBe('violation');
  });

  it('is set by one only of those who expect the same version', () => {
    const start: RegisterEvent[] = [...oneByOne([write('a'), done(2)]), [1, cas('b', 2)], [2, cas('c', 2)]];
    expect(verdictOf(registerModel, ...start, [1, 'answers', done(3)], [2, 'answers', refused('b', 3)])).toBe('ok');
    expect(verdictOf(registerModel, ...start, [1, 'answers', done(3)], [2, 'answers', done(4)])).toBe('violation');
    expect(verdictOf(registerModel, ...start, [1, 'answers', done(3)], [2, 'answers', refused('a', 2)]), 'refused for nothing').toBe(
      'violation',
    );
  });

  it('does not use a version twice, nor one below those before', () => {
    expect(verdictOf(registerModel, ...oneByOne([write('a'), done(2)], [write('b'), done(2)]))).toBe('violation');
    expect(verdictOf(registerModel, ...oneByOne([write('a'), done(2)], [write('a'), done(3)], [read, is('a', 2)]))).toBe('violation');
  });

  it('is missing once it is deleted, until it is written again with a larger version', () => {
    const remove: RegisterInput = { type: 'delete', key: 'k' };
    const deleted: RegisterEvent[] = oneByOne([write('a'), done(2)], [remove, done(5)]);
    expect(verdictOf(registerModel, ...deleted, ...oneByOne([read, is(undefined, 0)], [cas('b', 0), done(6)], [read, is('b', 6)]))).toBe(
      'ok',
    );
    expect(verdictOf(registerModel, ...deleted, ...oneByOne([read, is('a', 2)]))).toBe('violation');
    expect(verdictOf(registerModel, ...deleted, ...oneByOne([cas('b', 2), done(6)]))).toBe('violation');
    expect(verdictOf(registerModel, ...deleted, ...oneByOne([write('b'), done(4)]))).toBe('violation');
  });

  it('is checked by itself', () => {
    const other: RegisterInput = { type: 'read', key: 'other' };
    expect(verdictOf(registerModel, ...written, ...oneByOne([other, is(undefined, 0)]))).toBe('ok');
    const verdict = check(registerModel, history(...written, ...oneByOne([other, is('b', 5)])));
    expect(verdict.verdict === 'violation' && verdict.text).toContain('register other');
  });
});

describe('other models', () => {
  const append = (element: number): AppendInput => ({ type: 'append', key: 'l', element });
  const list: AppendInput = { type: 'read', key: 'l' };

  it('know lists whose elements change places, come twice, or vanish', () => {
    const both: Event<AppendInput, AppendOutput>[] = oneByOne([append(1), [1]], [append(2), [1, 2]]);
    expect(verdictOf(appendListModel, ...both, ...oneByOne([list, [1, 2]]))).toBe('ok');
    for (const wrong of [[2, 1], [1, 2, 2], [1], [2]]) {
      expect(verdictOf(appendListModel, ...both, ...oneByOne([list, wrong])), wrong.join()).toBe('violation');
    }
    const unknown: Event<AppendInput, AppendOutput>[] = [[1, append(1)], ...oneByOne<AppendInput, AppendOutput>([append(2), [2]])];
    expect(verdictOf(appendListModel, ...unknown, ...oneByOne([list, [2, 1]]))).toBe('ok');
    expect(verdictOf(appendListModel, ...unknown, ...oneByOne([list, [1, 2]]))).toBe('violation');
  });

  it('know sets that lose an element, or show it before it was added', () => {
    const add = (element: number): SetInput => ({ type: 'add', element });
    const all: SetInput = { type: 'read' };
    const added: Event<SetInput, SetOutput>[] = oneByOne([add(1), []], [add(2), []]);
    expect(verdictOf(setModel, ...added, [1, add(3)], ...oneByOne([all, [1, 2]], [all, [1, 2, 3]]))).toBe('ok');
    expect(verdictOf(setModel, ...added, ...oneByOne([all, [2]]))).toBe('violation');
    expect(verdictOf(setModel, ...added, [1, add(3)], ...oneByOne([all, [1, 2, 3]], [all, [1, 2]]))).toBe('violation');
    expect(verdictOf(setModel, ...oneByOne([all, [1]], [add(1), [] as readonly number[]]))).toBe('violation');
  });

  it('know counters that count twice, or not', () => {
    const add = (amount: number, id?: string): CounterInput => ({ type: 'add', key: 'c', amount, ...(id !== undefined && { id }) });
    const sum: CounterInput = { type: 'read', key: 'c' };
    const is = (value: number, ...shown: string[]): CounterOutput => (shown.length === 0 ? { sum: value } : { sum: value, shown });
    expect(verdictOf(counterModel, [1, add(5)], ...oneByOne([add(1), is(1)], [sum, is(6)]))).toBe('ok');
    expect(verdictOf(counterModel, [1, add(5)], ...oneByOne([add(1), is(1)], [sum, is(11)]))).toBe('violation');
    expect(verdictOf(counterModel, ...oneByOne([add(1), is(1)], [add(1), is(1)]))).toBe('violation');
    // Additions that are named: what is never named did not happen.
    const named: Event<CounterInput, CounterOutput>[] = [[1, add(5, 'a')], ...oneByOne([add(1, 'b'), is(1, 'b')])];
    expect(verdictOf(counterModel, ...named, ...oneByOne([sum, is(6, 'a', 'b')]))).toBe('ok');
    expect(verdictOf(counterModel, ...named, ...oneByOne([sum, is(6, 'b')]))).toBe('violation');
  });

  it('know banks where money appears, or is spent twice', () => {
    const transfer = (from: number, to: number, amount: number): BankInput => ({ type: 'transfer', from, to, amount });
    const balances: BankInput = { type: 'read' };
    const bank = bankModel([10, 10]);
    const [yes, no] = [{ result: true }, { result: false }];
    const moved: Event<BankInput, BankOutput>[] = oneByOne([transfer(0, 1, 8), yes]);
    expect(verdictOf(bank, ...moved, ...oneByOne<BankInput, BankOutput>([balances, { result: [2, 18] }], [transfer(0, 1, 8), no]))).toBe(
      'ok',
    );
    expect(verdictOf(bank, ...moved, ...oneByOne<BankInput, BankOutput>([balances, { result: [10, 18] }]))).toBe('violation');
    expect(verdictOf(bank, ...moved, ...oneByOne<BankInput, BankOutput>([transfer(0, 1, 8), yes]))).toBe('violation');
  });

  it('know that a transfer of unknown outcome which an account names was covered', () => {
    const transfer = (from: number, to: number, amount: number, id: string): BankInput => ({ type: 'transfer', from, to, amount, id });
    const both: Event<BankInput, BankOutput>[] = [
      [1, transfer(1, 0, 13, 'a')],
      [2, transfer(0, 1, 12, 'b')],
    ];
    const shows = (result: readonly number[], ...shown: string[]): Event<BankInput, BankOutput>[] =>
      oneByOne<BankInput, BankOutput>([{ type: 'read' }, { result, shown }]);
    // b is not covered before a: it is not to be put there as one that changed nothing.
    expect(verdictOf(bankModel([3, 20]), ...both, ...shows([4, 19], 'a', 'b'))).toBe('ok');
    const unmoved = shows([16, 7], 'a', 'b');
    expect(verdictOf(bankModel([3, 20]), ...both, ...unmoved, ...unmoved), 'b is named and moved nothing').toBe('violation');
    expect(verdictOf(bankModel([3, 2]), ...both, ...shows([3, 2], 'b')), 'b was never covered').toBe('violation');
  });
});

describe('a verdict', () => {
  it('shows the shortest beginning that is wrong, without the reads that it does not take', () => {
    const verdict = check(
      registerModel,
      history(
        ...oneByOne([write('a'), done(2)], [read, is('a', 2)], [write('b'), done(3)], [read, is('b', 3)]),
        [1, write('z')],
        ...oneByOne([read, is('a', 2)], [write('c'), done(9)], [read, is('c', 9)]),
      ),
    );
    expect(verdict.verdict === 'violation' && verdict.text).toBe(
      [
        'register k: no order explains these 4 operations; (*) found no place',
        'c0  ├┤        write k = a -> version 2      1 to 2 ms',
        'c0    ├┤      write k = b -> version 3      5 to 6 ms',
        'c1      ├╌╌╌  write k = z, outcome unknown  from 9 ms',
        'c0       ├┤   read k -> a (version 2)       10 to 11 ms  (*)',
      ].join('\n'),
    );
  });

  it('is undecided when the search does not end in its bound', () => {
    const adds = Array.from({ length: 12 }, (_, i): Event<CounterInput, CounterOutput> => [i, { type: 'add', key: 'c', amount: 2 ** i }]);
    const events: Event<CounterInput, CounterOutput>[] = [...adds, [20, { type: 'read', key: 'c' }], [20, 'answers', { sum: 2 ** 13 }]];
    expect(check(counterModel, history(...events), 1000)).toMatchObject({ verdict: 'undecided', part: 'c' });
    expect(check(counterModel, history(...events)).verdict).toBe('violation');
  });

  it('on a long history with many unknown outcomes comes soon', () => {
    // Eight clients; every tenth write is never answered, and takes effect a while later or never.
    let nowMs = 0;
    const recorded = new History<RegisterInput, RegisterOutput>(() => nowMs);
    let state = { value: undefined as string | undefined, version: 0 };
    for (let i = 0; i < 1000; i++) {
      nowMs = i;
      const invocations = Array.from({ length: 8 }, (_, client) =>
        recorded.invoke(client, client % 2 === 0 ? { type: 'write', key: 'k', value: `${i}.${client}` } : read),
      );
      for (const invocation of invocations) {
        const { client, input } = invocation.operation;
        if (input.type === 'read') invocation.respond({ type: 'read', ...state });
        else if (client !== 4 || i % 10 !== 0) {
          state = { value: input.type === 'write' ? input.value : '', version: state.version + 1 };
          invocation.respond({ type: 'done', version: state.version });
        } else if (i % 20 === 0) {
          state = { value: input.type === 'write' ? input.value : '', version: state.version + 1 };
        }
      }
    }
    expect(check(registerModel, recorded.operations)).toMatchObject({ verdict: 'ok' });
  });
});

describe('the search agrees with the definition', () => {
  interface Drawn<I, O> {
    readonly input: I;
    readonly output: O | undefined;
    readonly from: number;
    readonly length: number;
  }

  function agrees<S, I, O>(model: Model<S, I, O>, input: fc.Arbitrary<I>, outputOf: (input: I) => fc.Arbitrary<O>): [number, number] {
    const counts: [number, number] = [0, 0];
    const drawn: fc.Arbitrary<Drawn<I, O>> = input.chain((asked) =>
      fc.record({
        input: fc.constant(asked),
        output: fc.option(outputOf(asked), { nil: undefined, freq: 6 }),
        from: fc.nat(12),
        length: fc.nat(8),
      }),
    );
    fc.assert(
      fc.property(fc.array(drawn, { minLength: 1, maxLength: 6 }), (operations) => {
        // Places are made unique by the operation's own.
        const recorded = operations.map(({ input: asked, output, from, length }, client): Operation<I, O> => ({
          client,
          input: asked,
          invoked: from * 100 + client,
          invokedMs: from,
          response: output === undefined ? undefined : { at: (from + length) * 100 + 50 + client, atMs: from + length, output },
        }));
        // Parts are checked together by the definition: it holds for all of them or for none.
        const expected = [...new Set(recorded.map(({ input: asked }) => model.part?.(asked) ?? ''))].every((part) =>
          isLinearizable(
            model,
            recorded.filter(({ input: asked }) => (model.part?.(asked) ?? '') === part),
          ),
        );
        counts[expected ? 0 : 1]++;
        expect(check(model, recorded).verdict).toBe(expected ? 'ok' : 'violation');
      }),
      { numRuns: 1500, seed: 7 },
    );
    return counts;
  }

  const small = fc.nat(2).map(String);
  const version = fc.nat(3);
  const key = fc.constantFrom('k', 'k', 'k', 'l');

  it('for registers', () => {
    const input: fc.Arbitrary<RegisterInput> = fc.oneof(
      fc.record({ type: fc.constant('read' as const), key }),
      fc.record({ type: fc.constant('write' as const), key, value: small }),
      fc.record({ type: fc.constant('delete' as const), key }),
      fc.record({ type: fc.constant('cas' as const), key, value: small, expected: version }),
    );
    const seen = fc.record({ value: fc.option(small, { nil: undefined }), version });
    const outputOf = ({ type }: RegisterInput): fc.Arbitrary<RegisterOutput> => {
      if (type === 'read') return seen.map((what) => ({ type: 'read', ...what }));
      const finished = fc.integer({ min: 1, max: 4 }).map(done);
      return type === 'write'
        ? finished
        : fc.oneof(
            finished,
            seen.map((what): RegisterOutput => ({ type: 'refused', ...what })),
          );
    };
    const [good, bad] = agrees(registerModel, input, outputOf);
    expect(Math.min(good, bad)).toBeGreaterThan(100);
  });

  it('for counters and lists', () => {
    const counter: fc.Arbitrary<CounterInput> = fc.oneof(
      fc.record({ type: fc.constant('add' as const), key, amount: fc.nat(2) }),
      fc.record({ type: fc.constant('read' as const), key }),
    );
    const [good, bad] = agrees(counterModel, counter, () => fc.nat(3).map((sum) => ({ sum })));
    expect(Math.min(good, bad)).toBeGreaterThan(100);
    const list: fc.Arbitrary<AppendInput> = fc.oneof(
      fc.record({ type: fc.constant('append' as const), key, element: fc.nat(1) }),
      fc.record({ type: fc.constant('read' as const), key }),
    );
    const [goodLists, badLists] = agrees(appendListModel, list, () => fc.array(fc.nat(1), { maxLength: 3 }));
    expect(Math.min(goodLists, badLists)).toBeGreaterThan(100);
  });

  it('for banks', () => {
    const account = fc.nat(1);
    const bank: fc.Arbitrary<BankInput> = fc.oneof(
      fc.record({ type: fc.constant('transfer' as const), from: account, to: account, amount: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ type: fc.constant('read' as const) }),
    );
    const outputOf = ({ type }: BankInput): fc.Arbitrary<BankOutput> =>
      (type === 'read' ? fc.nat(4).map((mine) => [mine, 4 - mine]) : fc.boolean()).map((result) => ({ result }));
    const [good, bad] = agrees(bankModel([2, 2]), bank, outputOf);
    expect(Math.min(good, bad)).toBeGreaterThan(100);
  });
});

describe('the search finds an order of what did happen one after another', () => {
  /** In the order of their effects: how long before it each began, how long after it it answered, if ever. */
  const happened = fc.array(
    fc.record({
      from: fc.nat(2),
      by: fc.integer({ min: 1, max: 2 }),
      amount: fc.nat(12),
      before: fc.nat(8),
      after: fc.nat(8),
      unknown: fc.integer({ min: 0, max: 2 }).map((drawn) => drawn > 0),
    }),
    { minLength: 4, maxLength: 24 },
  );

  it('with banks whose transfers mostly have no known outcome', () => {
    fc.assert(
      fc.property(happened, (drawn) => {
        const [balances, names] = [[5, 5, 5], [[], [], []] as string[][]];
        const operations = drawn.map(({ from, by, amount, before, after, unknown }, at): Operation<BankInput, BankOutput> => {
          const to = (from + by) % 3;
          const covered = balances[from]! >= amount;
          // A transfer that was not covered, and whose answer was lost, is named nowhere.
          const shown = amount === 0 ? names.flat() : [...names[from]!, ...names[to]!];
          if (amount > 0 && covered) {
            balances[from]! -= amount;
            balances[to]! += amount;
            for (const account of [from, to]) names[account]!.push(String(at));
          }
          return {
            client: at,
            input: amount === 0 ? { type: 'read' } : { type: 'transfer', from, to, amount, id: String(at) },
            invoked: (at - before) * 100 + at,
            invokedMs: at - before,
            response:
              unknown && amount > 0
                ? undefined
                : { at: (at + after) * 100 + 50 + at, atMs: at + after, output: { result: amount === 0 ? [...balances] : covered, shown } },
          };
        });
        expect(check(bankModel([5, 5, 5]), operations).verdict).toBe('ok');
      }),
      { numRuns: 1500, seed: 11 },
    );
  });
});
