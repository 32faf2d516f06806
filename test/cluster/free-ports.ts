/** Ports of 127.0.0.1 that nobody has, below those that the system gives to outgoing connections: a node that is away for a while finds its own free again. */
import { createServer } from 'node:net';
import { randomInt } from 'node:crypto';

const [FIRST, END] = [10_000, 32_000];

export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = randomInt(FIRST, END);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  return [...found];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
