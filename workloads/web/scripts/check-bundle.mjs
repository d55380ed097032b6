// Fails the build when what a browser must load is too large, or when a page would need what the policy forbids.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const LIMIT = 150_000;
const dist = new URL('../dist/', import.meta.url).pathname;

const assets = readdirSync(join(dist, 'assets'));
let total = 0;
for (const name of assets) {
  if (!/-[\w-]{8,}\.\w+$/.test(name)) throw new Error(`${name} has no hash in its name: it could not be cached for good`);
  if (!/\.(js|css)$/.test(name)) continue;
  const size = gzipSync(readFileSync(join(dist, 'assets', name)), { level: 9 }).length;
  total += size;
  console.log(`${name}: ${(size / 1000).toFixed(1)} kB gzip`);
}
console.log(`in all ${(total / 1000).toFixed(1)} kB gzip of ${LIMIT / 1000} kB`);
if (total > LIMIT) throw new Error('the bundle is too large');

const page = readFileSync(join(dist, 'index.html'), 'utf8');
if (/<style|\sstyle=|\son\w+=/.test(page)) throw new Error('index.html has an inline style or handler');
for (const [tag] of page.matchAll(/<script[^>]*>/g)) {
  if (!/\ssrc=/.test(tag)) throw new Error(`index.html has an inline script: ${tag}`);
}
