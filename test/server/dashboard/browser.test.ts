/** The dashboard in a real browser: what is drawn, by mouse and by keyboard, and what becomes of it when there is nothing to show. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import type { SurveyResponse } from '../../../proto/index.ts';
import { BROWSER, BROWSER_REQUIRED, type Browser, SKIPPED, startBrowser } from './chromium.ts';
import { fakeSurvey, loseNode } from './fake-cluster.ts';
import { type Served, serveFake } from './serve-fake.ts';

const skipped = BROWSER === undefined && !BROWSER_REQUIRED;
if (skipped) process.stderr.write(`the dashboard in a browser: ${SKIPPED}\n`);

describe.skipIf(skipped)(`the dashboard in a browser${skipped ? `, ${SKIPPED}` : ''}`, () => {
  let browser: Browser;
  const opened: AsyncDisposable[] = [];
  /** What went wrong in the browser, and what it asked of whom. */
  let complaints: string[] = [];
  let requests: string[] = [];

  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) await each[Symbol.asyncDispose]();
  });
  afterAll(() => browser[Symbol.asyncDispose]());

  async function open(survey: SurveyResponse | Error, size = { width: 1440, height: 900 }): Promise<{ page: Page; served: Served }> {
    const served = await serveFake(survey);
    const page = await browser.context.newPage();
    complaints = [];
    requests = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('request', (request) => requests.push(request.url()));
    opened.push({ [Symbol.asyncDispose]: () => page.close() }, served);
    await page.setViewportSize(size);
    // Goes on by itself; `fastForward` spares tests the pauses between questions.
    await page.clock.install();
    await page.goto(`http://${served.address}/dashboard`);
    await page.waitForSelector(survey instanceof Error ? '#trouble:not([hidden])' : '#cluster-view:not([hidden])');
    return { page, served };
  }

  const texts = (page: Page, selector: string): Promise<string[]> =>
    page.locator(selector).evaluateAll((elements) => elements.map((element) => (element.textContent ?? '').replaceAll('\u00a0', ' ')));
  const text = async (page: Page, selector: string): Promise<string> => (await texts(page, selector)).join(' | ');

  it('draws a small cluster, asks nobody but its server, and has nothing to complain of', async () => {
    const { page, served } = await open(fakeSurvey({ nodes: 3, zones: 3, shards: 3, calm: true }));
    expect(await text(page, '.verdict-words')).toBe('All is well');
    expect(await texts(page, '.tile .value')).toEqual(expect.arrayContaining(['3 of 3', '3', '180 MiB']));
    expect(await texts(page, '.zone h3')).toEqual(['zone-a', 'zone-b', 'zone-c']);
    expect(await texts(page, '.node-name')).toEqual(['Node 1', 'Node 2', 'Node 3']);
    expect(await page.locator('#shard-map [data-shard]').count()).toBe(3);
    expect(await text(page, '#shard-map')).toContain('led by node');
    expect(await page.locator('#table-list tbody tr').count()).toBe(1);
    expect(await page.locator('.chart path.line').count()).toBeGreaterThanOrEqual(4);
    expect(await page.title()).toBe('All is well - SparrowKV');
    expect(complaints).toEqual([]);
    expect(requests.filter((url) => !url.startsWith(`http://${served.address}/`))).toEqual([]);
  });

  it('is live: what changes is shown, and what has the focus keeps it', async () => {
    const survey = fakeSurvey({ nodes: 6, zones: 3, shards: 30, calm: true });
    const { page, served } = await open(survey);
    await page.locator('[data-shard="20"]').focus();
    const after = fakeSurvey({ nodes: 6, zones: 3, shards: 30, calm: true, nowMs: survey.nowMs + 6_000 });
    loseNode(after, 5);
    served.survey = after;
    await page.clock.fastForward(3_000);
    await page.waitForSelector('.node[data-look="down"]');
    expect(await text(page, '.problems')).toContain('Node 5 in zone-b is down');
    expect(await page.locator('.cell.paint-short').count()).toBe(after.nodes[4]!.replicas);
    expect(await page.locator(':focus').getAttribute('data-shard')).toBe('20');
    expect(await page.title()).toMatch(/^! /);
    // From the problem to its shards.
    await page.locator('.problems li', { hasText: 'fewer replicas' }).getByRole('button').click();
    expect(await texts(page, '.chip')).toEqual(['replicas missing']);
    expect(await page.locator('.cell:not(.faint)').count()).toBe(after.nodes[4]!.replicas);
    await page.locator('.chip').click();
    expect(await page.locator('.cell.faint').count()).toBe(0);
  });

  it('stays readable with a thousand shards', async () => {
    const { page } = await open(fakeSurvey({ nodes: 24, zones: 3, shards: 1_000 }));
    expect(await page.locator('#shard-map [data-shard]').count()).toBe(1_000);
    expect(await page.locator('#shard-list tbody tr').count()).toBe(12);
    expect(await text(page, '#shards-summary')).toBe('1,000 shards');
    // What a node holds: it leads the full ones, the hollow ones it follows.
    await page.getByRole('button', { name: /^Node 7,/ }).click();
    const [held, led] = [await page.locator('.cell:not(.faint)').count(), await page.locator('.cell:not(.faint):not(.hollow)').count()];
    expect((await text(page, '.node[aria-pressed="true"] .held')).startsWith(`${held} replicas, leads ${led},`)).toBe(true);
    await page.getByRole('searchbox').fill('nothing of the kind');
    expect(await text(page, '#shard-list .empty:not([hidden])')).toBe('No shard fits what is chosen.');
  });

  it('is used by keyboard alone', async () => {
    const { page } = await open(fakeSurvey({ nodes: 9, zones: 3, shards: 60, calm: true }));
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').getAttribute('class')).toBe('skip');
    // One stop for the whole map; arrows go on from there.
    await page.locator('#shard-map [tabindex="0"]').focus();
    expect(await page.locator('#shard-map [tabindex="0"]').count()).toBe(1);
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowUp', 'End', 'ArrowLeft']) await page.keyboard.press(key);
    expect(await page.locator(':focus').getAttribute('data-shard')).toBe('73');
    expect(await text(page, '#inspector h3')).toBe('Shard 73');
    await page.keyboard.press('Enter');
    expect(await page.locator('#inspector[data-held]').count()).toBe(1);
    await page.keyboard.press('Home');
    await page.keyboard.press('Escape');
    expect(await page.locator('#inspector[data-held]').count()).toBe(0);
    // A chart is read moment by moment.
    await page.locator('#load svg').focus();
    await page.keyboard.press('Home');
    expect(await page.locator('#load svg').getAttribute('aria-label')).toMatch(/^Load, \d\d:\d\d:\d\d: Reads [\d.]+.*Writes/);
    // Every control says what it is.
    const controls = page.locator('button, input, select, a, [tabindex="0"]');
    const names = await controls.evaluateAll((elements) =>
      elements.map((element) => element.getAttribute('aria-label') ?? element.textContent ?? ''),
    );
    expect(names.length).toBeGreaterThan(100);
    expect(names.filter((name) => name.trim() === '')).toEqual([]);
    await page.locator('#shard-list th button', { hasText: 'Reads' }).press('Enter');
    expect(await page.locator('#shard-list th[aria-sort]').getAttribute('aria-sort')).toBe('ascending');
  });

  it('shows what data say as text, whatever they say', async () => {
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 3 });
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    survey.tables[0]!.name = hostile;
    survey.nodes[0]!.entry!.zone = hostile;
    survey.nodes[0]!.entry!.address = hostile;
    survey.nodes[0]!.labels = { [hostile]: hostile };
    survey.clusterId = hostile;
    survey.operators[0]!.reason = hostile;
    survey.operators[0]!.steps[0]!.what = hostile;
    survey.shards[0]!.entry!.keys = { keys: { $case: 'range', value: { start: Buffer.from(hostile), end: undefined } } };
    const { page } = await open(survey);
    expect(await text(page, '#table-list tbody button')).toBe(hostile);
    expect(await text(page, '#operator-lists')).toContain(hostile);
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.title()).toBe('All is well; 2\u00a0operators at work - SparrowKV');
    expect(complaints).toEqual([]);
  });

  it('is light or dark as the system is, until one is chosen; the choice is remembered', async () => {
    const { page } = await open(fakeSurvey({ nodes: 3, zones: 3, shards: 3 }));
    const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await ground();
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await ground();
    expect(dark).not.toBe(light);
    const toggle = page.locator('#theme');
    await toggle.click();
    expect([await toggle.textContent(), await ground()]).toEqual(['Theme: light', light]);
    await toggle.click();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.reload();
    expect([await toggle.textContent(), await ground()]).toEqual(['Theme: dark', dark]);
  });

  it('fits a narrow screen: what is wide scrolls within itself', async () => {
    const survey = fakeSurvey({ nodes: 9, zones: 3, shards: 60 });
    loseNode(survey, 4);
    const { page } = await open(survey, { width: 360, height: 740 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    const parts = page.locator('.node, .tile, .operator, .problems li');
    const wide = await parts.evaluateAll((elements) =>
      elements.filter((element) => element.scrollWidth > element.clientWidth + 1).map((element) => element.className),
    );
    expect(wide).toEqual([]);
  });

  it('says what is the matter when there is nothing to show, and goes on by itself', async () => {
    const { page, served } = await open(new SparrowError('unavailable', 'NO_LEADER', 'no node leads the metaserver'));
    expect(await text(page, '#trouble')).toMatch(/^The metaserver has no leader.*node 2 was asked/);
    expect(await page.locator('#cluster-view').isVisible()).toBe(false);
    served.survey = fakeSurvey({ nodes: 3, zones: 3, shards: 3 });
    await page.clock.fastForward(12_000);
    await page.waitForSelector('#cluster-view:not([hidden])');
    expect(await page.locator('#trouble').isVisible()).toBe(false);
  });

  it('keeps what it had when its server is gone, and says how old that is', async () => {
    const { page, served } = await open(fakeSurvey({ nodes: 3, zones: 3, shards: 3, calm: true }));
    await served.close();
    await page.clock.fastForward(3_000);
    await page.waitForSelector('#trouble:not([hidden])');
    expect(await text(page, '#trouble')).toMatch(/^This node does not answer.*What is shown is as of \d\d:\d\d:\d\d/);
    expect(await text(page, '#live')).toMatch(/^No answer, [\d.]+ s old$/);
    expect(await page.locator('html[data-stale]').count()).toBe(1);
    expect(await text(page, '.verdict-words')).toBe('All is well');
  });

  it('asks nothing while it is paused', async () => {
    const { page, served } = await open(fakeSurvey({ nodes: 3, zones: 3, shards: 3 }));
    await page.locator('#pause').click();
    expect(await text(page, '#live')).toBe('Paused');
    // What it had asked before is not counted: that may be under way still.
    requests = [];
    await page.clock.fastForward(20_000);
    expect(requests).toEqual([]);
    const before = served.surveys;
    await page.locator('#pause').click();
    await expect.poll(() => served.surveys).toBeGreaterThan(before);
  });
});
