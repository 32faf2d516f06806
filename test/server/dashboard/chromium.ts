/**
 * A browser for tests: the Chromium that the system has (Debian's package `chromium`), with an empty profile. Where there is none its tests are
 * skipped and say so, unless SPARROWKV_BROWSER=required, as in CI: then they fail.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export const BROWSER: string | undefined = PLACES.find((place) => existsSync(place));
export const BROWSER_REQUIRED: boolean = process.env.SPARROWKV_BROWSER === 'required';
export const SKIPPED = 'SKIPPED: there is no browser (apt-get install chromium)';

export interface Browser extends AsyncDisposable {
  readonly context: BrowserContext;
}

export async function startBrowser(): Promise<Browser> {
  if (BROWSER === undefined) throw new Error(`none of ${PLACES.join(', ')} is there`);
  const profile = mkdtempSync(join(tmpdir(), 'sparrowkv-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: BROWSER,
    headless: true,
    chromiumSandbox: false,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return {
    context,
    async [Symbol.asyncDispose]() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
