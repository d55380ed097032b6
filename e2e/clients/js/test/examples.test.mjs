// The programs of the client guide: they run, each has at most twenty lines, and the guide quotes them as they are.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freshName, newUser } from '../accounts.mjs';
import { base } from '../http.mjs';

/** How long a program may take to start, connect and send; Python alone takes seconds on a busy machine. */
const PATIENCE_MS = 60_000;
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const [script, python] = [at('../examples/chat.mjs'), at('../../python/examples/chat.py')];
const started = [];
after(() => started.forEach((child) => child.kill('SIGKILL')));

/** Starts a program and collects what it prints. */
function run(program, ...args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } });
  started.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (more) => (text += more));
  return async (pattern) => {
    for (const deadline = Date.now() + PATIENCE_MS; !pattern.test(text); ) {
      assert.ok(Date.now() < deadline && child.exitCode === null, `no ${pattern} in: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return text;
  };
}

test('the programs of the guide chat with each other', async () => {
  const bob = await newUser('bob');
  const ann = { username: freshName('ann'), password: bob.password };
  // One registers, the other logs in.
  const first = run(process.execPath, script, base, ann.username, ann.password, bob.username, 'hello from JavaScript');
  await first(/status: 'ok'/);
  const second = run(at('../../python/.venv/bin/python'), python, base, bob.username, bob.password, ann.username, 'hello from Python');
  await second(/'status': 'ok'/);
  // What was said before comes by sync, and once.
  const said = await second(/hello from JavaScript/);
  await first(new RegExp(`${bob.user_id}: hello from Python`));
  const third = run(process.execPath, script, base, ann.username, ann.password, bob.username, 'hello again');
  await third(/hello from JavaScript[^]*hello from Python/);
  const all = await second(/hello again/);
  for (const text of ['JavaScript', 'Python', 'again']) {
    assert.equal(all.split(`hello ${text === 'again' ? '' : 'from '}${text}`).length, 2, `${text} once in: ${all}`);
  }
  assert.ok(all.startsWith(said));
});

test('the guide quotes the programs as they are, in twenty lines each', async () => {
  const guide = await readFile(at('../../../../docs/clients.md'), 'utf8');
  for (const [language, path] of [['js', script], ['python', python]]) {
    const program = await readFile(path, 'utf8');
    assert.ok(program.trimEnd().split('\n').length <= 20, `${path} has more than twenty lines`);
    assert.ok(guide.includes(`\`\`\`${language}\n${program}\`\`\`\n`), `docs/clients.md does not quote ${path} as it is`);
  }
});
