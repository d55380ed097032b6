// Puts a gzip and a brotli form beside each file of a folder that gets smaller by it, so that no server compresses one
// again for each reader. The same input gives the same output.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const COMPRESSED_ALREADY = /\.(png|jpe?g|webp|avif|woff2|gz|br)$/;
const folder = process.argv[2];

for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || COMPRESSED_ALREADY.test(entry.name)) continue;
  const path = join(entry.parentPath ?? entry.path, entry.name);
  const plain = readFileSync(path);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  for (const [suffix, small] of [['.gz', gzipSync(plain, { level: 9 })], ['.br', brotliCompressSync(plain, { params })]]) {
    if (small.length < plain.length) writeFileSync(path + suffix, small);
  }
}
