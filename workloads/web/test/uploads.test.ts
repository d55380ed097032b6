import { page } from './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { sendReport } from '../src/session/reports';
import { features, link, reset } from '../src/session/state';
import { addFiles, removeUpload, retryUpload, uploads } from '../src/session/uploads';
import { CHAT, idAt } from './sample';

const { server, report } = vi.hoisted(() => ({ server: { begin: vi.fn(), transfer: vi.fn(), complete: vi.fn(), giveUp: vi.fn() }, report: vi.fn() }));
vi.mock('../src/api/media', () => ({ ...server, details: vi.fn(), DETAILS_MAX: 100 }));
vi.mock('../src/api/accounts', () => ({ report }));

const ALL = features.value;
const first = () => uploads.value.get(CHAT)?.[0];
const add = () => addFiles(CHAT, [new File(['abc'], 'list.txt', { type: 'text/plain' })]);

beforeEach(() => {
  reset();
  features.value = ALL;
  for (const call of [...Object.values(server), report]) call.mockReset();
  server.begin.mockResolvedValue({ media_id: 'm', upload: {} });
  server.transfer.mockResolvedValue(undefined);
  server.giveUp.mockResolvedValue(undefined);
  server.complete.mockResolvedValue({ media_id: 'm', content_type: 'text/plain', size: 3, url: '/m' });
});

test.each([
  ['transfer', 403, 'http_403'], ['transfer', 404, 'not_found'], ['complete', 404, 'not_found'], ['complete', 409, 'upload_missing'],
] as const)('an upload that took too long (%s: %i) can be begun anew, and files go on being offered', async (call, status, code) => {
  server[call].mockRejectedValueOnce(new ApiError(status, code, 'not found'));
  add();
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'failed', again: true }));
  expect(features.value.media).toBe(true);
  server.complete.mockRejectedValueOnce(new ApiError(status, code, 'not found'));
  retryUpload(CHAT, first()!.id);
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'done', media_id: 'm' }));
  expect(server.begin).toHaveBeenCalledTimes(2);
});

test('a file that the server refuses is not offered again', async () => {
  server.complete.mockRejectedValueOnce(new ApiError(422, 'invalid', 'not a picture'));
  add();
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'failed', again: false, fault: 'Not a picture.' }));
});

test('a server without files is known by the first call', async () => {
  server.begin.mockRejectedValueOnce(new ApiError(404, 'not_found', ''));
  add();
  await vi.waitFor(() => expect(features.value.media).toBe(false));
  expect(first()).toBeUndefined();
});

/** Never answers, until it is broken off. */
const hangs = (...args: unknown[]) => new Promise((_, reject) => {
  (args.at(-1) as AbortSignal).addEventListener('abort', () => reject(new ApiError(0, 'aborted', '')));
});

test.each(['transfer', 'complete'] as const)('a file that is taken back on its way (%s) is given up', async (call) => {
  server[call].mockImplementationOnce(hangs);
  add();
  await vi.waitFor(() => expect(server[call]).toHaveBeenCalled());
  removeUpload(CHAT, first()!.id);
  expect(first()).toBeUndefined();
  expect(server.giveUp.mock.calls).toEqual([['m']]);
});

test('a file that is taken back before the server knows of it is given up as soon as it does', async () => {
  let answer = (_: unknown) => undefined as void;
  server.begin.mockReturnValueOnce(new Promise((resolve) => { answer = resolve; }));
  add();
  removeUpload(CHAT, first()!.id);
  expect(server.giveUp).not.toHaveBeenCalled();
  answer({ media_id: 'm', upload: {} });
  await vi.waitFor(() => expect(server.giveUp.mock.calls).toEqual([['m']]));
  expect(server.transfer).not.toHaveBeenCalled();
  expect(first()).toBeUndefined();
});

test('a file is given up when it is taken back, whether the server refused it or has it already', async () => {
  server.complete.mockRejectedValueOnce(new ApiError(422, 'invalid', 'not a picture'));
  add();
  await vi.waitFor(() => expect(first()?.state).toBe('failed'));
  server.giveUp.mockRejectedValueOnce(new ApiError(0, 'network', ''));
  removeUpload(CHAT, first()!.id);
  expect(server.giveUp.mock.calls).toEqual([['m']]);
  add();
  await vi.waitFor(() => expect(first()?.state).toBe('done'));
  // A message shows it after all.
  server.giveUp.mockRejectedValueOnce(new ApiError(409, 'upload_sent', 'a message shows the file'));
  removeUpload(CHAT, first()!.id);
  expect(first()).toBeUndefined();
  expect(server.giveUp.mock.calls).toEqual([['m'], ['m']]);
});

test.each([
  ['freed', undefined], ['not freed: the server can’t be reached', new ApiError(0, 'network', '')], ['not known to an older server', new ApiError(405, 'http_405', '')],
])('before another try the room of the one before is %s', async (_, fault) => {
  server.begin.mockResolvedValueOnce({ media_id: 'first', upload: {} });
  server.transfer.mockRejectedValueOnce(new ApiError(0, 'network', ''));
  add();
  await vi.waitFor(() => expect(first()?.state).toBe('failed'));
  if (fault) server.giveUp.mockRejectedValueOnce(fault);
  server.complete.mockRejectedValueOnce(new ApiError(409, 'upload_missing', 'nothing has been uploaded yet'));
  retryUpload(CHAT, first()!.id);
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'done', media_id: 'm' }));
  expect(server.giveUp.mock.calls).toEqual([['first']]);
  expect(server.giveUp.mock.invocationCallOrder[0]).toBeLessThan(server.begin.mock.invocationCallOrder[1]!);
});

test('an upload of which only the last answer was lost is not sent a second time', async () => {
  server.complete.mockRejectedValueOnce(new ApiError(0, 'network', ''));
  add();
  await vi.waitFor(() => expect(first()?.state).toBe('failed'));
  retryUpload(CHAT, first()!.id);
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'done', media_id: 'm' }));
  expect(server.transfer).toHaveBeenCalledOnce();
  expect(server.giveUp).not.toHaveBeenCalled();
});

test('a message that is gone can’t be reported, others and people still can', async () => {
  const gone = new ApiError(404, 'not_found', '');
  report.mockRejectedValueOnce(gone).mockRejectedValueOnce(gone);
  await expect(sendReport({ chat_id: CHAT, message_id: idAt(1), include_message: false }, 'spam', '')).rejects.toBe(gone);
  expect(features.value.reports).toBe(true);
  await expect(sendReport({ user_id: 'b' }, 'spam', '')).rejects.toBe(gone);
  expect(features.value.reports).toBe(false);
});

test('a picture whose name does not tell is sent as a picture', async () => {
  server.complete.mockResolvedValue({ media_id: 'm', content_type: 'image/jpeg', size: 3, width: 1, height: 1, url: '/m' });
  addFiles(CHAT, [new File(['abc'], 'beach', { type: '' })]);
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'done', kind: 'image' }));
  expect(server.begin.mock.calls[0]![1]).toBe('application/octet-stream');
});

test('a file that the network kept from being sent goes on when it is back; one that was refused does not', async () => {
  server.transfer.mockRejectedValueOnce(new ApiError(0, 'network', ''));
  server.complete.mockRejectedValueOnce(new ApiError(422, 'invalid', 'not a picture'));
  add();
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'failed', again: true }));
  add();
  await vi.waitFor(() => expect(uploads.value.get(CHAT)![1]).toMatchObject({ state: 'failed', again: false }));
  link.value = 'offline';
  expect(server.begin).toHaveBeenCalledTimes(2);
  link.value = 'online';
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'done' }));
  expect(uploads.value.get(CHAT)![1]).toMatchObject({ state: 'failed' });
});

test('who closes the page with a file that was not sent is asked first', async () => {
  const asked = () => {
    const event = { type: 'beforeunload', preventDefault: vi.fn() };
    page.fire('beforeunload', event);
    return event.preventDefault.mock.calls.length > 0;
  };
  expect(asked()).toBe(false);
  add();
  expect(asked()).toBe(true);
  await vi.waitFor(() => expect(first()).toMatchObject({ state: 'done' }));
  expect(asked()).toBe(true);
  removeUpload(CHAT, first()!.id);
  expect(asked()).toBe(false);
});
