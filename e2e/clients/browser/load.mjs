// How long the web client takes to be usable: from nothing, and with a warm cache. Prints one line of JSON.
// SENTINEL_URL, CHROMIUM: as for the tests. ROUNDS: how many loads of each kind (7); medians are printed.
import { chromium } from '@playwright/test';

const { SENTINEL_URL, CHROMIUM, ROUNDS = '7' } = process.env;
const browser = await chromium.launch({ executablePath: CHROMIUM });
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Milliseconds until one can log in, and bytes that came over the network. */
async function load(page) {
  const bytes = [];
  const count = ({ encodedDataLength }) => bytes.push(encodedDataLength);
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  session.on('Network.loadingFinished', count);
  const begun = performance.now();
  await page.goto(SENTINEL_URL);
  await page.getByLabel('Password', { exact: true }).waitFor();
  const elapsed = performance.now() - begun;
  await session.detach();
  return { elapsed, bytes: bytes.reduce((sum, size) => sum + size, 0) };
}

const [cold, warm] = [[], []];
for (let round = 0; round < Number(ROUNDS); round += 1) {
  const context = await browser.newContext();
  const page = await context.newPage();
  cold.push(await load(page));
  warm.push(await load(page));
  await context.close();
}
await browser.close();
console.log(JSON.stringify({
  cold_ms: Math.round(median(cold.map(({ elapsed }) => elapsed))),
  warm_ms: Math.round(median(warm.map(({ elapsed }) => elapsed))),
  cold_kib: Math.round(median(cold.map(({ bytes }) => bytes)) / 1024),
}));
