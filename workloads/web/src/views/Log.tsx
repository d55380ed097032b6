// The messages of a chat, with days and marks between them.
import type { Ref } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { strings } from '../i18n/en';
import { dayName } from '../i18n/times';
import { retry } from '../session/sending';
import { me } from '../session/state';
import { withdraw } from '../session/takeback';
import { today } from '../session/today';
import type { Chat } from '../store/chats';
import { statusOf } from '../store/receipts';
import type { Row } from '../store/rows';
import type { Timeline } from '../store/timeline';
import { MessageRow, type MessageActs } from './MessageRow';
import { OutgoingRow } from './OutgoingRow';
import { nameOf } from './people';
import { rove } from './roving';

interface LogProps {
  log: Ref<HTMLDivElement> & { current: HTMLDivElement | null };
  chat: Chat;
  rows: readonly Row[];
  timeline: Timeline | undefined;
  flash: string | null;
  fault: boolean;
  onAgain(): void;
  /** Takes the focus from a button of a message that is gone when it was pressed. */
  onGone(): void;
  /** Takes what was not sent back into the field. */
  onTakeBack(client_message_id: string): void;
  acts: MessageActs;
}

export function Log({ log, chat, rows, timeline, flash, fault, onAgain, onGone, onTakeBack, acts }: LogProps) {
  // The rows get the same functions each time, so that they need not be drawn again.
  const latest = useRef(acts);
  latest.current = acts;
  const stable = useMemo<MessageActs>(() => ({
    onReply: (message) => latest.current.onReply(message),
    onEdit: (message) => latest.current.onEdit(message),
    onDelete: (message) => latest.current.onDelete(message),
    onJump: (message_id) => latest.current.onJump(message_id),
    onReport: (message) => latest.current.onReport(message),
  }), []);
  const [stop, setStop] = useState<string | null>(null);
  const messages = rows.filter((row) => row.kind === 'message' || row.kind === 'outgoing');
  const tabStop = messages.some((row) => row.key === stop) ? stop : messages.at(-1)?.key;
  const name = nameOf(chat.peer);
  const self = chat.peer.user_id === me.value;

  const onKey = (event: KeyboardEvent) => {
    if (!log.current || (event.target as HTMLElement).closest('button, a, textarea')) return;
    if (rove(event, log.current, '[data-testid=message]')) return;
    const row = rows.find((one) => one.key === stop);
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    if (row.kind === 'outgoing') return onOutgoingKey(event, row.outgoing.client_message_id);
    if (row.kind !== 'message' || row.message.deleted) return;
    const act = { r: acts.onReply, e: row.own ? acts.onEdit : undefined, delete: row.own ? acts.onDelete : undefined }[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(row.message);
  };
  const onDiscard = (id: string) => { withdraw(id); onGone(); };
  const onOutgoingKey = (event: KeyboardEvent, id: string) => {
    const act = { e: onTakeBack, delete: onDiscard }[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(id);
  };
  const byId = useMemo(() => new Map(timeline?.messages.map((message) => [message.message_id, message])), [timeline]);
  return (
    <div class="log" role="log" aria-live="off" aria-label={strings.messages} aria-busy={!timeline} ref={log} onKeyDown={onKey}>
      <div class="log-inner">
        {fault && (
          <p class="notice notice-bad log-fault" role="alert">{strings.couldNotLoad} <button type="button" class="link-button" onClick={onAgain}>{strings.tryAgain}</button></p>
        )}
        {timeline?.older && <p class="log-note" aria-hidden="true">{strings.loadingOlder}</p>}
        {timeline && !timeline.older && <p class="log-note" dir="auto">{self ? strings.beginningSelf : strings.beginning(name)}</p>}
        {!timeline && !fault && <p class="log-note">{strings.loading}</p>}
        {rows.map((row) => {
          switch (row.kind) {
            case 'day': return <h3 class="day" key={row.key}><span>{dayName(row.at, today.value)}</span></h3>;
            case 'new': return <p class="new-mark" key={row.key} data-new="true"><span>{strings.newMessages}</span></p>;
            case 'outgoing': return <OutgoingRow key={row.key} row={row} tabStop={row.key === tabStop} onFocus={setStop} onRetry={(id) => { retry(id); onGone(); }} onTakeBack={onTakeBack} onDiscard={onDiscard} />;
            default: return (
              <MessageRow
                key={row.key} message={row.message} own={row.own} first={row.first} last={row.last} peer={chat.peer}
                status={self ? 'read' : statusOf(row.message, row.own ? chat.theirs : chat.mine)}
                replied={row.message.reply_to ? byId.get(row.message.reply_to) : undefined}
                tabStop={row.key === tabStop} flash={row.key === flash} onFocus={setStop} acts={stable}
              />
            );
          }
        })}
      </div>
    </div>
  );
}
