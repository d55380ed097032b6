// Two panes on a wide screen; on a narrow one, the list or what was chosen from it.
import { useEffect, useRef } from 'preact/hooks';
import { strings } from '../i18n/en';
import { leave } from '../session/history';
import { chatList, chats, current, link, listed, skipped } from '../session/state';
import { further, loadMore } from '../session/listing';
import { subscribe } from '../session/presence';
import { cameFrom, go, route } from '../session/route';
import { dismissOf } from '../session/toasts';
import { composes } from './composing';
import { Conversation } from './Conversation';
import { Logo } from './icons';
import { NotificationsView } from './NotificationsView';
import { SettingsView } from './SettingsView';
import { isWritten, shortcutOf } from './shortcuts';
import { Sidebar } from './Sidebar';

export function Shell() {
  const at = route.value;
  const chat_id = at.view === 'chat' ? at.chat_id : null;
  useEffect(() => {
    current.value = chat_id;
    if (chat_id) dismissOf(chat_id);
    void subscribe();
    return () => {
      current.value = null;
      skipped.value = null;
      if (chat_id) leave(chat_id);
    };
  }, [chat_id]);
  const before = useRef(at);
  useEffect(() => {
    const left = cameFrom(before.current);
    before.current = at;
    // A link back is gone with the page that it was on, and the focus with it.
    if (at.view === 'chats' && left && document.activeElement === document.body) document.querySelector<HTMLElement>(left)?.focus();
  }, [at]);
  useEffect(() => {
    document.addEventListener('keydown', shortcut);
    return () => document.removeEventListener('keydown', shortcut);
  }, []);
  return (
    <div class={`shell ${at.view === 'chats' || at.view === 'register' ? 'shows-list' : 'shows-detail'}`}>
      <h1 class="visually-hidden" tabIndex={-1}>{strings.brand}</h1>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>{strings.skip}</a>
      <Sidebar />
      <main id="main" class="detail" tabIndex={-1}>
        {link.value === 'offline' && <p class="banner" data-testid="offline">{strings.offline}</p>}
        <Detail />
      </main>
    </div>
  );
}

function Detail() {
  const at = route.value;
  if (at.view === 'settings') return <SettingsView />;
  if (at.view === 'notifications') return <NotificationsView />;
  if (at.view === 'chat') {
    const chat = chats.value.get(at.chat_id);
    if (chat) return <Conversation key={chat.chat_id} chat={chat} place={at} />;
    if (!listed.value || link.value === 'connecting' || further.value) return <Awaited />;
  }
  return (
    <div class="empty">
      <Logo />
      <h2>{strings.nothingOpen}</h2>
      <p>{strings.nothingOpenHint}</p>
      <a class="button empty-back" href="#/">{strings.back}</a>
    </div>
  );
}

/** A chat that is not in the list yet, or so far down that the list has to be loaded up to it. */
function Awaited() {
  useEffect(() => void loadMore(), [further.value]);
  if (link.value === 'offline') return <div class="empty"><p>{strings.waitsForConnection}</p></div>;
  return <div class="empty" aria-busy="true"><p>{strings.loading}</p></div>;
}

function shortcut(event: KeyboardEvent): void {
  if (composes(event)) return;
  switch (shortcutOf(event, isWritten(event.target))) {
    case 'people': return focusField(event, 'find-people');
    case 'messages': return focusField(event, 'search-messages');
    case 'previous': return step(event, -1);
    case 'next': return step(event, 1);
    case 'back': return goBack(event);
    case null:
  }
}

function goBack(event: KeyboardEvent): void {
  if (event.defaultPrevented || route.value.view === 'chats') return;
  const open = current.value;
  go({ view: 'chats' });
  // The way back leads to where one came from.
  requestAnimationFrame(() => document.querySelector<HTMLElement>(open ? `[data-chat="${open}"]` : '#find-people')?.focus());
}

function focusField(event: KeyboardEvent, id: string): void {
  const field = document.getElementById(id);
  if (!field) return;
  event.preventDefault();
  if (field.offsetParent === null) go({ view: 'chats' });
  requestAnimationFrame(() => field.focus());
}

function step(event: KeyboardEvent, by: number): void {
  const list = chatList.value;
  if (list.length === 0) return;
  event.preventDefault();
  const index = list.findIndex((chat) => chat.chat_id === current.value);
  const next = list[index === -1 ? 0 : Math.min(list.length - 1, Math.max(0, index + by))];
  if (next) go({ view: 'chat', chat_id: next.chat_id, message_id: null });
}
