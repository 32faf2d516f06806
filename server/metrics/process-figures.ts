/** The process itself, under the names that dashboards for Node know. */
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Family, family } from './exposition.ts';

const RESOLUTION_MS = 10;
const NS = 1e9;

export class ProcessFigures {
  /** How late a timer of 10 ms is, since the last look. */
  readonly #delay: ReturnType<typeof monitorEventLoopDelay> = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delay.enable();
  }

  families(): Family[] {
    const { user, system } = process.cpuUsage();
    const memory = process.memoryUsage();
    const delay = this.#delay;
    const families = [
      family('process_cpu_seconds_total', 'Processor time, user and system.', (user + system) / 1e6),
      family('process_resident_memory_bytes', 'Resident memory.', memory.rss),
      family('process_start_time_seconds', 'When the process began, since the epoch.', Math.round(Date.now() / 1000 - process.uptime())),
      family('process_open_fds', 'Open file descriptors.', openDescriptors()),
      family('nodejs_heap_size_total_bytes', 'Size of the JavaScript heap.', memory.heapTotal),
      family('nodejs_heap_size_used_bytes', 'Of that in use.', memory.heapUsed),
      family('nodejs_external_memory_bytes', 'Memory outside of the heap that JavaScript objects hold.', memory.external),
      ...[
        ['p50', 'Median of how late the event loop was', delay.percentile(50)] as const,
        ['p99', 'The hundredth that was latest', delay.percentile(99)] as const,
        ['max', 'How late the event loop was at worst', delay.max] as const,
      ].map(([of, help, ns]) => {
        // Without a sample since the last look the histogram has no sensible values.
        const lateSeconds = delay.count === 0 ? undefined : Math.max(0, ns / NS - RESOLUTION_MS / 1000);
        return family(`nodejs_eventloop_lag_${of}_seconds`, `${help}, since the last scrape.`, lateSeconds);
      }),
    ];
    delay.reset();
    return families;
  }

  close(): void {
    this.#delay.disable();
  }
}

/** Where the system tells. */
function openDescriptors(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}
