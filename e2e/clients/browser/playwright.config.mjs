// How the tests run: two files at a time, in the browser that is on the machine, with patience for a busy one.
import { defineConfig } from '@playwright/test';

const { SENTINEL_URL, CHROMIUM } = process.env;
if (!SENTINEL_URL || !CHROMIUM) {
  throw new Error('SENTINEL_URL must be the base URL of a running Sentinel, CHROMIUM the path of a browser; e2e/browser.sh sets both');
}

/** Where pictures are put. */
export const output = process.env.SENTINEL_PICTURES ?? new URL('../../../target/browser/standalone', import.meta.url).pathname;

/** What a test is named after that takes the server away, also from the tests beside it. */
const RESTART = /restart of the gateway/;

export default defineConfig({
  testDir: 'test',
  outputDir: `${output}/failures`,
  reporter: [['list']],
  workers: 2,
  projects: [
    { name: 'together', grepInvert: RESTART },
    { name: 'alone', grep: RESTART, dependencies: ['together'] },
  ],
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  use: {
    baseURL: SENTINEL_URL,
    actionTimeout: 30_000,
    navigationTimeout: 30_000,
    screenshot: 'only-on-failure',
    launchOptions: { executablePath: CHROMIUM },
  },
});
