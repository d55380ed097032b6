// The chats, newest activity first.
import { useEffect, useRef, useState } from 'preact/hooks';
import { briefOf, wholeOf } from '../i18n/times';
import { strings } from '../i18n/en';
import { chatList, current, isTyping, link, listed, me, outbox } from '../session/state';
import { draftOf } from '../session/drafts';
import { further, loadMore } from '../session/listing';
import { today } from '../session/today';
import type { Chat } from '../store/chats';
import type { Outgoing } from '../store/outbox';
import { statusOf } from '../store/receipts';
import { BellOffIcon } from './icons';
import { Avatar, nameOf } from './people';
import { rove } from './roving';
import { Ticks } from './Ticks';
import { Unread } from './Unread';
import { useOf } from './useOf';

export function ChatList() {
  const list = useRef<HTMLUListElement>(null);
  const [stop, setStop] = useState<string | null>(null);
  const chats = chatList.value;
  if (chats.length === 0) {
    return (
      <nav class="rows" aria-label={strings.chats}>
        <ul role="list" aria-label={strings.chats} />
        {listed.value
          ? <div class="rows-empty"><strong>{strings.noChats}</strong><p>{strings.noChatsHint}</p></div>
          : link.value === 'offline' ? <div class="rows-empty"><strong>{strings.noConnection}</strong><p>{strings.waitsForConnection}</p></div>
          : <div class="rows-empty" aria-busy="true"><p>{strings.loading}</p></div>}
      </nav>
    );
  }
  const tabStop = chats.some((chat) => chat.chat_id === stop) ? stop : (chats.find((chat) => chat.chat_id === current.value) ?? chats[0])!.chat_id;
  return (
    <nav class="rows" aria-label={strings.chats}>
      <ul role="list" aria-label={strings.chats} ref={list} onKeyDown={(event) => list.current && rove(event, list.current, 'a')}>
        {chats.map((chat) => <ChatRow key={chat.chat_id} chat={chat} tabStop={chat.chat_id === tabStop} onFocus={setStop} />)}
      </ul>
      {further.value && <MoreChats />}
    </nav>
  );
}

/** The end of what is here of the list: what comes after it is loaded before one gets there. */
function MoreChats() {
  const end = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    const node = end.current;
    if (!node) return undefined;
    const near = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) void loadMore(); }, { root: node.parentElement, rootMargin: '600px' });
    near.observe(node);
    return () => near.disconnect();
  }, [further.value]);
  return <p class="rows-note" ref={end} aria-hidden="true">{strings.loading}</p>;
}

function ChatRow({ chat, tabStop, onFocus }: { chat: Chat; tabStop: boolean; onFocus(id: string): void }) {
  const here = useOf(chat.chat_id, isOpen);
  return (
    <li>
      <a class="row" href={`#/chats/${chat.chat_id}`} data-chat={chat.chat_id} data-testid="chat" aria-current={here ? 'page' : undefined} tabIndex={tabStop ? 0 : -1} onFocus={() => onFocus(chat.chat_id)}>
        <Avatar person={chat.peer} dot />
        <span class="row-main">
          <span class="row-top">
            <strong class="row-name" dir="auto">{nameOf(chat.peer)}</strong>
            {chat.muted && <span class="row-muted" title={strings.muted}><BellOffIcon /><span class="visually-hidden">{strings.muted}</span></span>}
            {chat.last && <time class="row-time" dateTime={chat.last.timestamp} title={wholeOf(chat.last.timestamp)}>{briefOf(chat.activity, today.value)}</time>}
          </span>
          <span class="row-bottom">
            <Preview chat={chat} />
            <Unread chat={chat} />
          </span>
        </span>
      </a>
    </li>
  );
}

const isOpen = (chat_id: string): boolean => current.value === chat_id;
/** The draft of an open chat is in its field: here nothing changes with each key. */
const draftShown = (chat_id: string): string => (isOpen(chat_id) ? '' : draftOf(chat_id));
const lastWaiting = (chat_id: string): Outgoing | undefined => outbox.value.filter((one) => one.chat_id === chat_id).at(-1);

function Preview({ chat }: { chat: Chat }) {
  const types = useOf(chat.chat_id, isTyping);
  const draft = useOf(chat.chat_id, draftShown);
  const waiting = useOf(chat.chat_id, lastWaiting);
  if (types) return <span class="row-text row-typing">{strings.typingShort}</span>;
  if (draft.trim()) return <span class="row-text" dir="auto"><em class="row-draft">{strings.draft}</em> {draft}</span>;
  if (waiting) return <span class="row-text" dir="auto"><Ticks status={waiting.state} />{waiting.message || strings.aFile}</span>;
  const { last } = chat;
  if (!last) return <span class="row-text row-faint">{strings.noMessages}</span>;
  const own = last.sender_id === me.value;
  const text = last.deleted ? strings.deletedMessage : last.message || (last.type === 'image' ? strings.aPicture : strings.aFile);
  return (
    <span class={last.deleted ? 'row-text row-faint' : 'row-text'} dir="auto">
      {own && !last.deleted && chat.peer.user_id !== me.value && <Ticks status={statusOf(last, chat.theirs)} />}
      {text}
    </span>
  );
}
