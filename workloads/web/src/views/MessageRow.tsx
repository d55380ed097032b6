// One message as it is shown.
import type { Message, MessageStatus, Peer } from '../api/types';
import { strings } from '../i18n/en';
import { clockOf, wholeOf } from '../i18n/times';
import { found } from '../session/found';
import { features, me } from '../session/state';
import { toast } from '../session/toasts';
import { onlyEmoji } from '../store/text';
import { Attachments } from './Attachments';
import { CopyIcon, EditIcon, FlagIcon, ReplyIcon, TrashIcon } from './icons';
import { memo } from './memo';
import { MessageText } from './MessageText';
import { nameOf } from './people';
import { Ticks } from './Ticks';

export interface MessageActs {
  onReply(message: Message): void;
  onEdit(message: Message): void;
  onDelete(message: Message): void;
  onJump(message_id: string): void;
  onReport(message: Message): void;
}

interface MessageRowProps {
  message: Message;
  own: boolean;
  /** Whether it begins, or ends, a group. */
  first: boolean;
  last: boolean;
  status: MessageStatus;
  peer: Peer;
  replied: Message | undefined;
  tabStop: boolean;
  flash: boolean;
  onFocus(key: string): void;
  acts: MessageActs;
}

export const MessageRow = memo(({ message, own, first, last, status, peer, replied, tabStop, flash, onFocus, acts }: MessageRowProps) => {
  const self = peer.user_id === me.value;
  const hit = found.value;
  // An edit since then moves the words.
  const ranges = hit?.message_id === message.message_id && hit.text === message.message ? hit.ranges : undefined;
  const author = own ? strings.you : nameOf(peer);
  const large = !message.deleted && message.attachments.length === 0 && onlyEmoji(message.message);
  const classes = ['message', own ? 'own' : 'theirs', first && 'first', last && 'last', flash && 'flash', large && 'large', message.deleted && 'gone'];
  return (
    <div
      class={classes.filter(Boolean).join(' ')} role="article" tabIndex={tabStop ? 0 : -1} onFocus={() => onFocus(message.message_id)}
      data-testid="message" data-key={message.message_id} data-message={message.message_id} data-status={status} data-own={own}
      aria-labelledby={nameParts(message.message_id, { quote: !message.deleted && !!message.reply_to, files: !message.deleted && message.attachments.length > 0, text: message.deleted || message.message !== '' })} aria-description={strings.actions}
    >
      <span class="visually-hidden" id={`author-${message.message_id}`}>{author}</span>
      <div class="bubble-box">
        <div class="bubble">
          {message.reply_to && !message.deleted && <Quote id={`quote-${message.message_id}`} replied={replied} peer={peer} onClick={() => acts.onJump(message.reply_to ?? '')} />}
          {!message.deleted && message.attachments.length > 0 && <div id={`files-${message.message_id}`}><Attachments ids={message.attachments} /></div>}
          {message.deleted
            ? <p class="text text-gone" id={`text-${message.message_id}`}>{strings.deletedMessage}</p>
            : message.message && <p class="text" dir="auto" id={`text-${message.message_id}`} data-testid="text"><MessageText text={message.message} ranges={ranges} /></p>}
          <span class="meta" id={`meta-${message.message_id}`}>
            {message.edited_at && !message.deleted && <span class="edited" title={strings.editedAt(wholeOf(message.edited_at))}>{strings.edited}</span>}
            <time dateTime={message.timestamp} title={wholeOf(message.timestamp)}>{clockOf(message.timestamp)}</time>
            {own && !self && !message.deleted && <Ticks status={status} />}
          </span>
        </div>
        {!message.deleted && <Acts message={message} own={own} acts={acts} />}
      </div>
    </div>
  );
});

/** The ids of what a screen reader says of a message: who, in answer to what, what, when, how far it has got. */
export const nameParts = (id: string, has: { quote: boolean; files: boolean; text: boolean }): string =>
  ['author', has.quote && 'quote', has.files && 'files', has.text && 'text', 'meta'].filter(Boolean).map((part) => `${part}-${id}`).join(' ');

/** The beginning of the message that is answered; leads to it. */
function Quote({ id, replied, peer, onClick }: { id: string; replied: Message | undefined; peer: Peer; onClick(): void }) {
  return (
    <button type="button" class="quote" id={id} title={strings.showReplied} onClick={onClick}>
      <span class="visually-hidden">{strings.inAnswerTo} </span>
      {replied && <strong dir="auto">{replied.sender_id === me.value ? strings.you : nameOf(peer)}</strong>}
      <span dir="auto">{!replied ? strings.repliedGone : replied.deleted ? strings.deletedMessage : beginning(replied.message) || strings.aFile}</span>
    </button>
  );
}

/** As much of a text as fits into a quote, or more: what is not seen need not be said either. */
const beginning = (text: string): string => [...text.slice(0, 400)].slice(0, 200).join('');

function Acts({ message, own, acts }: { message: Message; own: boolean; acts: MessageActs }) {
  return (
    <div class="acts" role="toolbar" aria-label={strings.actions}>
      <Act label={strings.reply} act={() => acts.onReply(message)}><ReplyIcon /></Act>
      {message.message && <Act label={strings.copy} act={() => void copy(message.message)}><CopyIcon /></Act>}
      {own && <Act label={strings.edit} act={() => acts.onEdit(message)}><EditIcon /></Act>}
      {!own && features.value.reports && <Act label={strings.report} act={() => acts.onReport(message)}><FlagIcon /></Act>}
      {own && <Act label={strings.remove} act={() => acts.onDelete(message)}><TrashIcon /></Act>}
    </div>
  );
}

/** One button of them. */
export function Act({ label, act, children }: { label: string; act(): void; children: preact.ComponentChildren }) {
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
