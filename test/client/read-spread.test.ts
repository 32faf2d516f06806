/** Reads that any node may serve, against a scripted cluster under virtual time: who gets them, also while nodes fail. */
import { describe, expect, it } from 'vitest';

import { CallRunner } from '../../client/call-runner.ts';
import { resolveConnectOptions } from '../../client/connect-options.ts';
import { GET, PUT } from '../../client/methods.ts';
import { RequestIds } from '../../client/request-ids.ts';
import { ScriptedCluster } from './scripted-cluster.ts';

const encoder = new TextEncoder();

class Reader {
  readonly cluster: ScriptedCluster = new ScriptedCluster(3);
  readonly calls: CallRunner;

  /** Knows all nodes once it has written. */
  constructor() {
    this.cluster.elect(1);
    const ids = new RequestIds(new Uint8Array(16).fill(1));
    this.calls = new CallRunner(this.cluster.addresses, resolveConnectOptions({}), ids, this.cluster.surroundings());
  }

  async reads(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const request = { key: encoder.encode(`k${i}`), versionOnly: false, anyNode: { staleMs: 0 } };
      await this.cluster.scheduler.until(this.calls.run(GET, request, 10, undefined));
    }
  }

  async write(): Promise<void> {
    const request = { key: encoder.encode('k'), value: encoder.encode('v'), requestId: undefined };
    await this.cluster.scheduler.until(this.calls.run(PUT, request, 10, undefined));
  }

  /** What each node was sent since then. */
  since(ms: number): number[] {
    return this.cluster.nodes.map(({ calls }) => calls.filter((at) => at >= ms).length);
  }
}

describe('reads that any node may serve', () => {
  it('go to all nodes in turn, writes to the leader', async () => {
    const reader = new Reader();
    await reader.reads(10);
    const begunMs = reader.cluster.scheduler.nowMs;
    await reader.reads(30);
    expect(reader.since(begunMs)).toEqual([10, 10, 10]);
    const writtenMs = reader.cluster.scheduler.nowMs;
    await reader.write();
    expect(reader.since(writtenMs)).toEqual([1, 0, 0]);
  });

  it('pass over a node that is down, and come back to it', async () => {
    const reader = new Reader();
    await reader.reads(10);
    reader.cluster.node(3).kill();
    await reader.cluster.scheduler.advance(10);
    const downMs = reader.cluster.scheduler.nowMs;
    await reader.reads(20);
    expect(reader.since(downMs)).toEqual([10, 10, 0]);
    reader.cluster.node(3).start();
    await reader.cluster.scheduler.advance(2000);
    await reader.reads(10);
    const upMs = reader.cluster.scheduler.nowMs;
    await reader.reads(30);
    expect(reader.since(upMs)).toEqual([10, 10, 10]);
  });

  it('are sent to the leader when a node that knows none sends them away', async () => {
    const reader = new Reader();
    await reader.reads(10);
    reader.cluster.node(2).view = { leaderId: 0, term: 1 };
    const begunMs = reader.cluster.scheduler.nowMs;
    await reader.reads(30);
    expect(reader.since(begunMs)).toEqual([20, 10, 10]);
  });

  it('are served on while nobody leads, by nodes that can', async () => {
    const reader = new Reader();
    await reader.reads(10);
    reader.cluster.node(1).kill();
    await reader.cluster.scheduler.advance(10);
    const begunMs = reader.cluster.scheduler.nowMs;
    await reader.reads(20);
    expect(reader.since(begunMs)).toEqual([0, 10, 10]);
    expect(reader.cluster.scheduler.nowMs - begunMs).toBeLessThan(60);
  });
});
