// Messages that a search found, in all chats or in one; each leads to its place.
import { useEffect, useRef, useState } from 'preact/hooks';
import { search } from '../api/messages';
import { patiently } from '../api/patience';
import { ApiError } from '../api/problem';
import type { SearchResult } from '../api/types';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { briefOf, wholeOf } from '../i18n/times';
import { showFound } from '../session/found';
import { chats, lacks, me } from '../session/state';
import { go } from '../session/route';
import { today } from '../session/today';
import { excerpt } from '../store/text';
import { MessageText } from './MessageText';
import { Avatar, nameOf } from './people';
import { rove } from './roving';
import { useAction } from './useAction';

const PAUSE_MS = 250;
const PAGE = 25;

interface Found {
  key: string;
  hits: readonly SearchResult[];
  cursor: string | null;
}

interface SearchResultsProps {
  text: string;
  /** Only in this chat, with somebody of this name. */
  chat_id?: string;
  name?: string;
  onChosen?(): void;
}

export function SearchResultsList({ text, chat_id, name, onChosen }: SearchResultsProps) {
  const q = text.trim();
  const key = `${chat_id ?? ''} ${q}`;
  const [shown, setShown] = useState<Found | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const enough = q !== '';
  /** Ends with what is looked for. */
  const running = useRef(new AbortController());
  const more = useAction();

  async function fetchPage(before: Found | null) {
    const { signal } = running.current;
    try {
      const wanted = { q, limit: PAGE, ...(chat_id ? { chat_id } : {}), ...(before?.cursor ? { cursor: before.cursor } : {}) };
      const page = await patiently(() => search(wanted, signal), signal, () => setFault(strings.searchWaits));
      if (signal.aborted) return;
      // A click on what was drawn before the last page came means that page.
      setShown((now) => (before && now !== before ? now : { key, hits: [...(before?.hits ?? []), ...page.hits], cursor: page.next_cursor ?? null }));
      setFault(null);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.absent) lacks('search');
      setFault(faultText(error));
    }
  }

  useEffect(() => {
    setFault(null);
    if (!enough) return undefined;
    const stop = running.current = new AbortController();
    const timer = setTimeout(() => void fetchPage(null), PAUSE_MS);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [key]);

  const current = shown?.key === key ? shown : null;
  // What is busy is not said by screen readers: a fault ends the wait, and what was found before goes.
  const hits = enough ? (current ?? (fault ? null : shown))?.hits ?? [] : [];
  const note = fault ?? (!enough ? strings.searchHint : current ? strings.results(current.hits.length, current.cursor !== null) : strings.searching);
  return (
    <section class="rows search-results" aria-label={name ? strings.searchIn(name) : strings.searchResults} aria-busy={enough && !current && !fault}>
      <p class="rows-note" aria-live="polite">{note}</p>
      <ul role="list" aria-label={strings.searchResults} ref={list} onKeyDown={(event) => list.current && rove(event, list.current, 'a')}>
        {hits.map((hit) => <Hit key={hit.message.message_id} hit={hit} inChat={chat_id !== undefined} onChosen={onChosen} />)}
      </ul>
      {current?.cursor && <button type="button" class="button more" aria-disabled={more.busy} onClick={() => void more.run(() => fetchPage(current))}>{strings.more}</button>}
    </section>
  );
}

function Hit({ hit, inChat, onChosen }: { hit: SearchResult; inChat: boolean; onChosen?: (() => void) | undefined }) {
  const { message } = hit;
  const chat = chats.value.get(message.chat_id);
  const author = message.sender_id === me.value ? strings.you : chat ? nameOf(chat.peer) : '';
  const cut = excerpt(message.message, hit.highlights);
  const jump = (event: Event) => {
    event.preventDefault();
    onChosen?.();
    showFound({ message_id: message.message_id, text: message.message, ranges: hit.highlights });
    go({ view: 'chat', chat_id: message.chat_id, message_id: message.message_id });
  };
  return (
    <li>
      <a class="row" href={`#/chats/${message.chat_id}/at/${message.message_id}`} data-testid="hit" onClick={jump}>
        {!inChat && chat && <Avatar person={chat.peer} />}
        <span class="row-main">
          <span class="row-top">
            <strong class="row-name" dir="auto">{inChat || !chat ? author : nameOf(chat.peer)}</strong>
            <time class="row-time" dateTime={message.timestamp} title={wholeOf(message.timestamp)}>{briefOf(Date.parse(message.timestamp), today.value)}</time>
          </span>
          <span class="row-text hit-text" dir="auto">
            {!inChat && message.sender_id === me.value && <em class="row-faint">{strings.you}: </em>}
            <MessageText text={cut.text} ranges={cut.ranges} links={false} />
          </span>
        </span>
      </a>
    </li>
  );
}
