/** Ports of 127.0.0.1 that nobody listens on, for what must be told its port before it listens. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** All different: they are held together before they are let go of. */
export async function unusedPorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(probes.map((probe) => once(probe, 'listening')));
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port);
  await Promise.all(probes.map((probe) => once(probe.close(), 'close')));
  return ports;
}
