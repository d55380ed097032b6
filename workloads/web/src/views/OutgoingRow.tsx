// A message that the server does not have yet.
import { strings } from '../i18n/en';
import { clockOf, wholeOf } from '../i18n/times';
import { link } from '../session/state';
import { revocable } from '../store/outbox';
import type { Row } from '../store/rows';
import { Attachments } from './Attachments';
import { EditIcon, TrashIcon } from './icons';
import { Act, nameParts } from './MessageRow';
import { MessageText } from './MessageText';
import { Ticks } from './Ticks';

interface OutgoingRowProps {
  row: Extract<Row, { kind: 'outgoing' }>;
  tabStop: boolean;
  onFocus(key: string): void;
  onRetry(client_message_id: string): void;
  onTakeBack(client_message_id: string): void;
  onDiscard(client_message_id: string): void;
}

export function OutgoingRow({ row, tabStop, onFocus, onRetry, onTakeBack, onDiscard }: OutgoingRowProps) {
  const { outgoing, first, last } = row;
  const id = outgoing.client_message_id;
  // With a connection it is gone before anybody could press a button.
  const waits = outgoing.state === 'pending' && link.value === 'offline' && revocable(outgoing);
  return (
    <div
      class={`message own ${outgoing.state} ${first ? 'first' : ''} ${last ? 'last' : ''}`} role="article" tabIndex={tabStop ? 0 : -1} onFocus={() => onFocus(row.key)}
      data-testid="message" data-key={row.key} data-status={outgoing.state} data-own="true"
      aria-labelledby={nameParts(id, { quote: false, files: outgoing.attachments.length > 0, text: outgoing.message !== '' })}
    >
      <span class="visually-hidden" id={`author-${id}`}>{strings.you}</span>
      <div class="bubble-box">
        <div class="bubble">
          {outgoing.attachments.length > 0 && <div id={`files-${id}`}><Attachments ids={outgoing.attachments} /></div>}
          {outgoing.message && <p class="text" dir="auto" id={`text-${id}`} data-testid="text"><MessageText text={outgoing.message} /></p>}
          <span class="meta" id={`meta-${id}`}>
            <time title={wholeOf(outgoing.created_at)}>{clockOf(outgoing.created_at)}</time>
            <Ticks status={outgoing.state} title={outgoing.reason ?? undefined} />
          </span>
        </div>
        {waits && (
          <div class="acts" role="toolbar" aria-label={strings.actions}>
            <Act label={strings.edit} act={() => onTakeBack(id)}><EditIcon /></Act>
            <Act label={strings.discard} act={() => onDiscard(id)}><TrashIcon /></Act>
          </div>
        )}
      </div>
      {outgoing.state === 'failed' && (
        <p class="failed-note" role="alert">
          {outgoing.reason}{' '}
          <button type="button" class="link-button" onClick={() => onRetry(id)}>{strings.retry}</button>{' '}
          <button type="button" class="link-button" onClick={() => onTakeBack(id)}>{strings.edit}</button>{' '}
          <button type="button" class="link-button" onClick={() => onDiscard(id)}>{strings.discard}</button>
        </p>
      )}
    </div>
  );
}
