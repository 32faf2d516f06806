/**
 * Ctrl-C and SIGTERM for commands that talk to a server: the first aborts what is under way, so that the command can say how far it got;
 * the second ends the process at once.
 */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
  /** The exit code that the received signal asks for, or `undefined` while there was none. */
  exitCode(): number | undefined;
}

/** npm hands on the SIGINT that a terminal sent to all processes already: a second one this soon is the same key press. */
const SAME_KEY_PRESS_MS = 50;
const EXIT_CODES: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

export function listenForInterrupt(): Interrupt {
  const controller = new AbortController();
  let code: number | undefined;
  let firstAtMs = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    if (code !== undefined) {
      if (name === 'SIGINT' && performance.now() - firstAtMs < SAME_KEY_PRESS_MS) return;
      process.exit(code);
    }
    firstAtMs = performance.now();
    code = EXIT_CODES[name];
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    exitCode: () => code,
    [Symbol.dispose](): void {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}
