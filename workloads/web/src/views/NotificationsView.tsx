// What the server notified of and was not read yet.
import { useEffect, useRef, useState } from 'preact/hooks';
import { markRead } from '../api/notifications';
import { ApiError } from '../api/problem';
import type { NotificationEntry } from '../api/types';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { mediumOf, wholeOf } from '../i18n/times';
import { loadNotices, loadOlderNotices, notices } from '../session/notices';
import { chats, lacks, unread } from '../session/state';
import { notified, readByItself, readByThemselves } from '../session/toasts';
import { reaches } from '../store/ids';
import { BellIcon } from './icons';
import { Page } from './Page';
import { Avatar, nameOf } from './people';
import { useAction } from './useAction';
import { useKeptFocus } from './useKeptFocus';

export function NotificationsView() {
  const [fault, setFault] = useState<string | null>(null);
  const list = useRef<HTMLUListElement>(null);
  useKeptFocus(list);

  async function load(part: () => Promise<void>) {
    try {
      await part();
      setFault(null);
    } catch (error) {
      if (error instanceof ApiError && error.absent) {
        lacks('notifications');
        setFault(strings.notificationsAbsent);
      } else setFault(faultText(error));
    }
  }
  // The server makes an entry a moment after its message, and tells when it is there.
  useEffect(() => void load(loadNotices), [unread.value, notified.value]);

  async function read(one: NotificationEntry) {
    try {
      await markRead(one.notification_id);
      readByItself(one.notification_id);
    } catch (error) {
      setFault(faultText(error));
    }
  }
  // What has been read here meanwhile is old news, whatever the server's list still says.
  const shown = notices.value?.entries.filter((one) => !one.chat_id || !one.message_id || !reaches(chats.value.get(one.chat_id)?.mine.read, one.message_id)) ?? null;
  const isRead = (one: NotificationEntry) => one.read || readByThemselves.value.has(one.notification_id);
  const fresh = shown?.filter((one) => !isRead(one)) ?? [];
  const all = useAction();
  async function readAll() {
    await all.run(() => Promise.all(fresh.map(read)));
    // The button is gone.
    if (document.activeElement === document.body) list.current?.closest('section')?.querySelector('h2')?.focus();
  }
  return (
    <Page title={strings.notifications}>
      {fresh.length > 1 && <div class="notes-head"><button type="button" class="button" aria-disabled={all.busy} onClick={() => void readAll()}>{strings.markAllRead}</button></div>}
      {fault && <p class="notice notice-bad" role="alert">{fault}</p>}
      {shown?.length === 0 && !notices.value?.cursor && <div class="empty empty-small"><BellIcon /><h3>{strings.noNotifications}</h3><p>{strings.noNotificationsHint}</p></div>}
      <ul ref={list} class="notes" role="list" aria-label={strings.notifications}>
        {shown?.map((one) => (
          <Note key={one.notification_id} one={one} read={isRead(one)} onRead={() => void read(one)} />
        ))}
      </ul>
      {notices.value?.cursor && <button type="button" class="button" onClick={() => void load(loadOlderNotices)}>{strings.more}</button>}
    </Page>
  );
}

function Note({ one, read, onRead }: { one: NotificationEntry; read: boolean; onRead(): void }) {
  const chat = one.chat_id ? chats.value.get(one.chat_id) : undefined;
  const of = chat ? nameOf(chat.peer) : one.header;
  return (
    <li class={read ? 'note note-read' : 'note'} data-testid="notification">
      {chat ? <Avatar person={chat.peer} /> : <span class="note-icon"><BellIcon /></span>}
      <div class="note-text">
        <strong dir="auto">{of}</strong>
        {(one.body || chat) && <span dir="auto">{one.body || one.header}</span>}
        <time dateTime={one.created_at} title={wholeOf(one.created_at)}>{mediumOf(one.created_at)}</time>
      </div>
      {one.chat_id && <a class="button" aria-label={strings.openChatWith(of)} href={`#/chats/${one.chat_id}${one.message_id ? `/at/${one.message_id}` : ''}`}>{strings.openChat}</a>}
      {!read && <button type="button" class="button" aria-label={strings.markReadOf(of)} onClick={onRead}>{strings.markRead}</button>}
    </li>
  );
}
