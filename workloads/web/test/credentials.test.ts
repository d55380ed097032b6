import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { adopt, call, forget, onEnded, stored, token } from '../src/api/credentials';
import * as database from '../src/idb/database';
import type { Tokens } from '../src/api/types';

const tokens = (n: number, expires_in = 900): Tokens => ({
  username: 'ann', user_id: 'a', access_token: `access-${n}`, refresh_token: `refresh-${n}`, token_type: 'Bearer', expires_in,
});
const answer = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const server = vi.fn<typeof fetch>();
vi.stubGlobal('fetch', server);
/** What was asked of the server: method, path and token. */
const asked = () => server.mock.calls.map(([url, init]) => {
  const headers = init?.headers as Record<string, string>;
  return [init?.method, new URL(String(url)).pathname, headers.Authorization ?? null].filter(Boolean).join(' ');
});

beforeEach(async () => {
  server.mockReset();
  await forget();
});
afterEach(() => { vi.useRealTimers(); });

/** Lets the time pass that is waited for an answer, and gives it, or the error. */
async function inTime(answer: Promise<unknown>): Promise<unknown> {
  const settled = answer.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(20_000);
  return settled;
}

describe('the access token', () => {
  test('is used until it is about to expire, then renewed once for all who ask at once', async () => {
    await adopt(tokens(1));
    expect(await token()).toBe('access-1');
    await adopt(tokens(2, 10));
    server.mockImplementation(async () => answer(tokens(3)));
    expect(await Promise.all([token(), token(), token()])).toEqual(['access-3', 'access-3', 'access-3']);
    expect(asked()).toEqual(['POST /token/refresh']);
    expect(JSON.parse(String(server.mock.calls[0]![1]!.body))).toEqual({ refresh_token: 'refresh-2' });
  });

  test('that the server refuses is renewed, and the call made again', async () => {
    await adopt(tokens(1));
    server
      .mockResolvedValueOnce(answer({ code: 'token_expired', detail: '' }, 401))
      .mockResolvedValueOnce(answer(tokens(2)))
      .mockResolvedValueOnce(answer({ fine: true }));
    expect(await call('GET', '/me')).toEqual({ fine: true });
    expect(asked()).toEqual(['GET /me Bearer access-1', 'POST /token/refresh', 'GET /me Bearer access-2']);
  });

  test('of who logs in meanwhile is not used for what somebody asked for who has left', async () => {
    await adopt(tokens(1));
    let reply = (_: Response) => undefined as void;
    server.mockReturnValueOnce(new Promise((resolve) => { reply = resolve; })).mockResolvedValue(answer({}));
    const renamed = call('PATCH', '/me', { body: { display_name: 'Ann' } });
    await vi.waitFor(() => expect(server).toHaveBeenCalled());
    await forget();
    await adopt({ ...tokens(2), user_id: 'b', username: 'bob' });
    reply(answer({ code: 'session_ended', detail: '' }, 401));
    await expect(renamed).rejects.toMatchObject({ code: 'logged_out' });
    expect(asked()).toEqual(['PATCH /me Bearer access-1']);
  });

  test('is not to blame for a wrong password', async () => {
    await adopt(tokens(1));
    server.mockResolvedValueOnce(answer({ code: 'invalid_credentials', detail: 'wrong' }, 401));
    await expect(call('DELETE', '/me', { body: { password: 'x' } })).rejects.toMatchObject({ code: 'invalid_credentials' });
    expect(server).toHaveBeenCalledOnce();
  });
});

describe('the session', () => {
  test('outlives a server that is away', async () => {
    vi.useFakeTimers();
    const ended = vi.fn();
    onEnded(ended);
    await adopt(tokens(1, 0));
    server.mockRejectedValue(new TypeError('network'));
    expect(await inTime(token())).toMatchObject({ status: 0 });
    server.mockImplementation(async () => new Response('<html>', { status: 502 }));
    expect(await inTime(token())).toMatchObject({ status: 502 });
    expect(ended).not.toHaveBeenCalled();
    expect(await stored()).toEqual({ user_id: 'a', username: 'ann' });
    server.mockResolvedValueOnce(answer(tokens(2)));
    expect(await token()).toBe('access-2');
  });

  test('outlives what only something between here and the server refuses', async () => {
    const ended = vi.fn();
    onEnded(ended);
    await adopt(tokens(1, 0));
    const refusals = [
      new Response('<html>Log in to our network</html>', { status: 403 }),
      new Response('<html>', { status: 401 }),
      answer({ code: 'invalid_refresh_token', detail: '' }, 403),
      answer({ code: 'missing_token', detail: '' }, 401),
    ];
    for (const refusal of refusals) {
      server.mockResolvedValueOnce(refusal);
      await expect(token()).rejects.toMatchObject({ status: refusal.status });
    }
    expect(ended).not.toHaveBeenCalled();
    server.mockResolvedValueOnce(answer(tokens(2)));
    expect(await token()).toBe('access-2');
  });

  test.each(['invalid_refresh_token', 'refresh_expired', 'refresh_reused'])('is over with %s', async (code) => {
    const ended = vi.fn();
    onEnded(ended);
    await adopt(tokens(1, 0));
    server.mockResolvedValueOnce(answer({ code, detail: '' }, 401));
    await expect(token()).rejects.toMatchObject({ code });
    expect(ended).toHaveBeenCalledOnce();
  });

  test('leaves nothing when it is forgotten', async () => {
    await adopt(tokens(1));
    await forget();
    expect(await stored()).toBeNull();
  });
});

describe('a renewal', () => {
  /** The module as a page has it that was just loaded; the browser's store is what it was. */
  async function reopened() {
    const kept = await database.get('session', 'current');
    vi.resetModules();
    const fresh = await import('../src/api/credentials');
    const store = await import('../src/idb/database');
    await store.put('session', 'current', kept);
    return { ...fresh, store };
  }

  test('is not needed when a page is opened while the last token is good: it can’t be lost when that page is closed', async () => {
    await adopt(tokens(1));
    const page = await reopened();
    expect(await page.token()).toBe('access-1');
    expect(server).not.toHaveBeenCalled();
  });

  /** The refresh tokens that the server was given. */
  const given = () => server.mock.calls.map(([, init]) => JSON.parse(String(init!.body)).refresh_token);
  const away = (status: number) => answer({ code: 'unavailable', detail: '' }, status);

  test('whose answer is lost is asked for again while the server still takes the used token, however that is told', async () => {
    vi.useFakeTimers();
    await adopt(tokens(1, 0));
    server.mockRejectedValueOnce(new TypeError('lost')).mockResolvedValueOnce(away(503)).mockResolvedValueOnce(away(500))
      .mockResolvedValueOnce(answer(tokens(2)));
    expect(await inTime(token())).toBe('access-2');
    expect(given()).toEqual(['refresh-1', 'refresh-1', 'refresh-1', 'refresh-1']);
  });

  test('that is not answered is asked for a few times, and no more when the server may have forgotten the used token', async () => {
    vi.useFakeTimers();
    await adopt(tokens(1, 0));
    server.mockImplementation(async () => away(503));
    expect(await inTime(token())).toMatchObject({ status: 503 });
    const times = server.mock.calls.length;
    expect(times).toBeGreaterThan(3);
    expect(times).toBeLessThan(8);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server).toHaveBeenCalledTimes(times);
  });

  test('that is to wait is not asked for before', async () => {
    vi.useFakeTimers();
    await adopt(tokens(1, 0));
    server.mockResolvedValueOnce(new Response('{"code":"rate_limited","detail":""}', { status: 429, headers: { 'Retry-After': '9' } }))
      .mockResolvedValueOnce(answer(tokens(2)));
    const renewed = token();
    await vi.advanceTimersByTimeAsync(8_900);
    expect(server).toHaveBeenCalledOnce();
    expect(await inTime(renewed)).toBe('access-2');
  });

  test('is not asked for again for who has left meanwhile', async () => {
    await adopt(tokens(1, 0));
    server.mockImplementation(async () => away(503));
    const renewed = token().catch((error: unknown) => error);
    await vi.waitFor(() => expect(server).toHaveBeenCalled());
    await new Promise((resolve) => setTimeout(resolve));
    await forget();
    // At once: the next user does not wait for it.
    expect(await Promise.race([renewed, new Promise((resolve) => setTimeout(resolve, 100, 'waits'))])).toMatchObject({ status: 503 });
    expect(server).toHaveBeenCalledOnce();
  });

  test('is not awaited for so long that the server forgets the used token', async () => {
    const limits = vi.spyOn(AbortSignal, 'timeout');
    await adopt(tokens(1, 0));
    server.mockResolvedValueOnce(answer(tokens(2)));
    await token();
    expect(limits.mock.calls).toEqual([[8_000]]);
    limits.mockRestore();
  });

  test('that can’t be written is used all the same, and not the old token again', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    await adopt(tokens(1, 0));
    const full = vi.spyOn(database, 'put').mockRejectedValue(new Error('no room'));
    server.mockResolvedValueOnce(answer(tokens(2, 0))).mockResolvedValueOnce(answer(tokens(3)));
    expect(await token()).toBe('access-2');
    full.mockRestore();
    expect(await token()).toBe('access-3');
    expect(given()).toEqual(['refresh-1', 'refresh-2']);
    expect(await database.get('session', 'current')).toMatchObject({ refresh_token: 'refresh-3' });
  });

  test('of another tab is taken in place of one more', async () => {
    await adopt(tokens(1));
    await database.put('session', 'current', { user_id: 'a', username: 'ann', refresh_token: 'refresh-2', access_token: 'access-2', until: Date.now() + 900_000 });
    expect(await token(true)).toBe('access-2');
    expect(server).not.toHaveBeenCalled();
  });

  test('does not bring back a session that was left meanwhile', async () => {
    await adopt(tokens(1, 0));
    let reply = (_: Response) => undefined as void;
    server.mockReturnValueOnce(new Promise((resolve) => { reply = resolve; }));
    const renewed = token();
    await vi.waitFor(() => expect(server).toHaveBeenCalled());
    await forget();
    reply(answer(tokens(2)));
    await expect(renewed).rejects.toMatchObject({ code: 'logged_out' });
    expect(await stored()).toBeNull();
  });
});
