// Calls about notifications.
import { call } from './credentials';
import { query } from './http';
import type { NotificationEntry } from './types';

export const notifications = (cursor?: string) =>
  call<{ notifications: NotificationEntry[]; next_cursor?: string | null }>('GET', `/notifications${query({ limit: 50, cursor })}`);

export const markRead = (id: string) => call<void>('POST', `/notifications/${id}/read`);

/** The public key for Web Push; there is none where it is not offered. */
export const pushKey = () => call<{ public_key?: string | null }>('GET', '/notifications/vapid');

export const addDevice = (device_id: string, subscription: PushSubscriptionJSON) =>
  call<void>('POST', '/notifications/devices', { body: { device_id, platform: 'webpush', subscription } });

export const removeDevice = (device_id: string) => call<void>('DELETE', `/notifications/devices/${device_id}`);
