// How the tests run: one at a time unless told otherwise, in the browser that is on the machine, with patience for a busy one.
import { defineConfig } from '@playwright/test';

const { SENTINEL_URL, CHROMIUM } = process.env;
if (!SENTINEL_URL || !CHROMIUM) {
  throw new Error('SENTINEL_URL must be the base URL of a running Sentinel, CHROMIUM the path of a browser; e2e/browser.sh sets both');
}

/** Where pictures are put. */
export const output = process.env.SENTINEL_PICTURES ?? new URL('../../../target/browser/standalone', import.meta.url).pathname;

export default defineConfig({
  testDir: 'test',
  outputDir: `${output}/failures`,
  reporter: [['list']],
  workers: 1,
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
