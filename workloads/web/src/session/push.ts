// Web Push: has the browser wake a small worker when a notification comes, also while no page is open.
import { signal } from '@preact/signals';
import * as api from '../api/notifications';
import { base } from '../api/http';
import * as database from '../idb/database';
import { newId } from '../store/ids';
import { current, features, me, watching } from './state';
import { register, workable } from './worker';

const possible = (): boolean => workable() && 'PushManager' in window;

let key: string | null = null;

/** Whether the server would push, but this browser takes none for a page that is open as this one is: those of iPhones do for
 * pages on the home screen only. */
export const pushesElsewhere = signal(false);

/** Finds out whether the server and the browser can do it. */
export async function checkPush(): Promise<void> {
  if (!workable()) return;
  try {
    key = (await api.pushKey()).public_key ?? null;
  } catch {
    key = null;
  }
  features.value = { ...features.value, push: key !== null && possible() };
  pushesElsewhere.value = key !== null && !possible();
}

export async function subscribed(): Promise<boolean> {
  if (!possible()) return false;
  const worker = await navigator.serviceWorker.getRegistration(base.href);
  return !!(await worker?.pushManager.getSubscription()) && !!(await database.get('meta', 'device_id'));
}

/** A subscription may have changed since the last time, or be over: the server gets the one that there is now. */
export async function renewPush(): Promise<void> {
  const owner = me.value;
  const device_id = possible() ? await database.get<string>('meta', 'device_id') : undefined;
  if (!device_id) return;
  const worker = await navigator.serviceWorker.getRegistration(base.href);
  if (!worker || me.value !== owner) return;
  key = (await api.pushKey()).public_key ?? null;
  // Who has logged in meanwhile has not asked for pushes, and the device is of who has logged out.
  if (!key || Notification.permission !== 'granted' || me.value !== owner) return;
  const subscription = await subscriptionOf(worker, key);
  if (me.value === owner) await api.addDevice(device_id, subscription.toJSON());
}

/** The browser's subscription for this key of the server. One for another key is good for nothing, and in the way. */
async function subscriptionOf({ pushManager }: ServiceWorkerRegistration, applicationServerKey: string): Promise<PushSubscription> {
  const known = await pushManager.getSubscription();
  if (known && keyOf(known) === applicationServerKey) return known;
  await known?.unsubscribe();
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
}

/** For which key a subscription is, written as the server does. */
const keyOf = ({ options }: PushSubscription): string =>
  btoa(String.fromCharCode(...new Uint8Array(options.applicationServerKey ?? []))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/** What the service worker tells (`public/sw.js`). */
type News = { shown: string | null } | { subscription: 'changed' };

/** Listens to it from now on. */
export function startPush(): void {
  if (!possible()) return;
  navigator.serviceWorker.addEventListener('message', ({ data: news }: MessageEvent<News>) => {
    if ('subscription' in news) return void renewPush().catch(() => undefined);
    // It has to be shown, also to those who see the chat itself.
    if (news.shown && news.shown === current.value && watching.value) unshow(news.shown).catch(() => undefined);
  });
}

/** Gives whether the user allows it. Who has logged in meanwhile has not asked for pushes. */
export async function subscribe(): Promise<boolean> {
  const owner = me.value;
  if (!key || (await Notification.requestPermission()) !== 'granted' || me.value !== owner) return false;
  await register();
  const worker = await navigator.serviceWorker.ready;
  if (me.value !== owner) return false;
  const subscription = await subscriptionOf(worker, key);
  const device_id = (await database.get<string>('meta', 'device_id')) ?? newId();
  if (me.value !== owner) return false;
  await api.addDevice(device_id, subscription.toJSON());
  // A device that is noted here is renewed for whoever is logged in.
  if (me.value !== owner) return false;
  await database.put('meta', 'device_id', device_id);
  return true;
}

/** Undoes it, at the server and in the browser. */
export async function unsubscribe(): Promise<void> {
  if (!possible()) return;
  const owner = me.value;
  const device_id = await deviceId();
  if (device_id) await api.removeDevice(device_id).catch(() => undefined);
  // Logging out has undone it, too: what is here by now is the next user's.
  if (me.value !== owner) return;
  await database.remove('meta', ['device_id']);
  const worker = await navigator.serviceWorker.getRegistration(base.href);
  await (await worker?.pushManager.getSubscription())?.unsubscribe();
}

/** Under which name the server pushes to this browser, if it does. */
export const deviceId = (): Promise<string | undefined> => database.get<string>('meta', 'device_id');

/** The chat has been read: what was shown of it, under its id as `sw.js` does, is no news any more. */
export async function unshow(chat_id: string): Promise<void> {
  if (!possible()) return;
  const worker = await navigator.serviceWorker.getRegistration(base.href);
  for (const shown of (await worker?.getNotifications({ tag: chat_id })) ?? []) shown.close();
}

/** Takes away what is of the last user: what was shown, and that more is pushed. */
export async function silence(): Promise<void> {
  if (!possible()) return;
  const worker = await navigator.serviceWorker.getRegistration(base.href);
  for (const shown of (await worker?.getNotifications()) ?? []) shown.close();
  await (await worker?.pushManager.getSubscription())?.unsubscribe();
}
