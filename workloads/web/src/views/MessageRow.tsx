// One message as it is shown.
import type { Message } from '../api/types';
import { strings } from '../i18n/en';
import { clockOf, mediumOf, wholeOf } from '../i18n/times';
import { me } from '../session/state';
import { toast } from '../session/toasts';
import type { Chat } from '../store/chats';
import { statusOf } from '../store/receipts';
import type { Row } from '../store/rows';
import { onlyEmoji } from '../store/text';
import { Attachments } from './Attachments';
import { CopyIcon, EditIcon, ReplyIcon, TrashIcon } from './icons';
import { MessageText } from './MessageText';
import { nameOf } from './people';
import { Ticks } from './Ticks';

interface MessageRowProps {
  row: Extract<Row, { kind: 'message' }>;
  chat: Chat;
  replied: Message | undefined;
  tabStop: boolean;
  flash: boolean;
  onFocus(key: string): void;
  onReply(message: Message): void;
  onEdit(message: Message): void;
  onDelete(message: Message): void;
  onJump(message_id: string): void;
}

export function MessageRow({ row, chat, replied, tabStop, flash, onFocus, onReply, onEdit, onDelete, onJump }: MessageRowProps) {
  const { message, own, first, last } = row;
  const self = chat.peer.user_id === me.value;
  const status = self ? 'read' : statusOf(message, own ? chat.theirs : chat.mine);
  const author = own ? strings.you : nameOf(chat.peer);
  const large = !message.deleted && message.attachments.length === 0 && onlyEmoji(message.message);
  const classes = ['message', own ? 'own' : 'theirs', first && 'first', last && 'last', flash && 'flash', large && 'large', message.deleted && 'gone'];
  return (
    <div
      class={classes.filter(Boolean).join(' ')} role="article" tabIndex={tabStop ? 0 : -1} onFocus={() => onFocus(row.key)}
      data-testid="message" data-key={row.key} data-message={message.message_id} data-status={status} data-own={own}
      aria-label={`${author}, ${clockOf(message.timestamp)}`} aria-description={strings.actions}
    >
      <div class="bubble">
        {message.reply_to && !message.deleted && (
          <button type="button" class="quote" title={strings.showReplied} onClick={() => onJump(message.reply_to ?? '')}>
            {replied ? (
              <>
                <strong dir="auto">{replied.sender_id === me.value ? strings.you : nameOf(chat.peer)}</strong>
                <span dir="auto">{replied.deleted ? strings.deletedMessage : replied.message || strings.aFile}</span>
              </>
            ) : <span>{strings.repliedGone}</span>}
          </button>
        )}
        {!message.deleted && message.attachments.length > 0 && <Attachments ids={message.attachments} />}
        {message.deleted
          ? <p class="text text-gone">{strings.deletedMessage}</p>
          : message.message && <p class="text" dir="auto" data-testid="text"><MessageText text={message.message} /></p>}
        <span class="meta">
          {message.edited_at && !message.deleted && <span class="edited" title={strings.editedAt(wholeOf(message.edited_at))}>{strings.edited}</span>}
          <time dateTime={message.timestamp} title={wholeOf(message.timestamp)}>{clockOf(message.timestamp)}</time>
          {own && !self && !message.deleted && <Ticks status={status} title={status === 'read' && message.seen_at ? strings.seenAt(mediumOf(message.seen_at)) : undefined} />}
        </span>
      </div>
      {!message.deleted && (
        <div class="acts" role="toolbar" aria-label={strings.actions}>
          <Act label={strings.reply} act={() => onReply(message)}><ReplyIcon /></Act>
          {message.message && <Act label={strings.copy} act={() => void copy(message.message)}><CopyIcon /></Act>}
          {own && message.type === 'text' && <Act label={strings.edit} act={() => onEdit(message)}><EditIcon /></Act>}
          {own && <Act label={strings.remove} act={() => onDelete(message)}><TrashIcon /></Act>}
        </div>
      )}
    </div>
  );
}

function Act({ label, act, children }: { label: string; act(): void; children: preact.ComponentChildren }) {
  return <button type="button" class="icon-button act" aria-label={label} title={label} onClick={act}>{children}</button>;
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ header: strings.copied });
  } catch {
    toast({ kind: 'error', header: strings.faults.other });
  }
}
