// One chat: who it is with, what was said, and the field to say more.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Message } from '../api/types';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { block } from '../session/blocks';
import { answeringIn, setAnswering, type Answering } from '../session/drafts';
import { isShown, isTurning, loadAround, loadNewest, loadUnread } from '../session/history';
import { blocked, isTyping, link, me, outbox, skipped, timelineOf, timelines } from '../session/state';
import { takeBack } from '../session/takeback';
import { today } from '../session/today';
import { toast, toaster } from '../session/toasts';
import { addFiles } from '../session/uploads';
import type { Chat } from '../store/chats';
import { rows } from '../store/rows';
import { ChatSearch } from './ChatSearch';
import { coarse } from './coarse';
import { Composer } from './Composer';
import { ConversationHead } from './ConversationHead';
import { DeleteDialog } from './DeleteDialog';
import { DownIcon } from './icons';
import { Log } from './Log';
import { nameOf } from './people';
import { ReportDialog } from './ReportDialog';
import { Unread } from './Unread';
import { useLog } from './useLog';
import { useOf } from './useOf';

/** `place` is another object for each time that somebody goes there, also to the same message again. */
export function Conversation({ chat, place }: { chat: Chat; place: { readonly message_id: string | null } }) {
  const { chat_id } = chat;
  const wanted = place.message_id;
  // Those of other chats change with each of their messages.
  const timeline = useOf(chat_id, timelineOf);
  const types = useOf(chat_id, isTyping);
  const outgoing = outbox.value.filter((one) => one.chat_id === chat_id);
  const [mark, setMark] = useState<string | null | undefined>(chat.unread > 0 ? chat.mine.read : undefined);
  const [jump, setJump] = useState<string | null>(wanted);
  const [flash, setFlash] = useState<string | null>(null);
  const [deleting, setDeleting] = useState<Message | null>(null);
  const [reported, setReported] = useState<Message | null>(null);
  const [fault, setFault] = useState(false);
  /** A message that was to be jumped to, when the server could not be reached. */
  const [missed, setMissed] = useState<string | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const [search, setSearch] = useState<string | null>(null);
  const [over, setOver] = useState(false);

  const shown = useMemo(
    () => rows(timeline?.messages ?? [], timeline?.newer ? [] : outgoing, me.value, mark),
    // Days begin elsewhere in another zone.
    [timeline, outbox.value, mark, today.value],
  );
  // Once, when there is something to begin with: the first unread message is where the reader goes on.
  const [seeking, setSeeking] = useState(mark !== undefined && !wanted);
  useEffect(() => {
    if (!seeking || !timeline) return;
    loadUnread(chat_id).catch(() => undefined).finally(() => setSeeking(false));
  }, [seeking, timeline === undefined]);
  const { log, atEnd, toEnd, fault: pageFault, again } = useLog({
    chat_id, timeline, marked: mark !== undefined, seeking, jump,
    onJumped: () => {
      setFlash(jump);
      setJump(null);
    },
  });

  // Whoever has scrolled to the newest message looks for the other one no more.
  useEffect(() => { if (atEnd) setMissed(null); }, [atEnd]);

  async function renew() {
    const turns = isTurning(chat_id);
    await loadNewest(chat_id);
    setFault(false);
    if (turns) toEnd();
  }
  // What is kept is better than a fault: it is brought up to date when the connection is back. Not so the past, for who
  // wanted to leave it: what was sent from there is not in it.
  const load = () => void renew().catch(() => setFault(isTurning(chat_id) || !timelines.value.has(chat_id)));
  useEffect(() => {
    if (link.value === 'offline' && timeline) return;
    if (!jump) load();
  }, [chat_id, link.value]);

  // Also when all that was here had to be dropped.
  useEffect(() => {
    if (!timeline && !jump) load();
  }, [timeline === undefined]);

  useEffect(() => {
    if (wanted) void jumpTo(wanted);
  }, [place]);

  useEffect(() => {
    if (!flash) return undefined;
    const timer = setTimeout(() => setFlash(null), 2_200);
    return () => clearTimeout(timer);
  }, [flash]);

  async function jumpTo(message_id: string) {
    setMissed(null);
    setJump(message_id);
    const tell = toaster();
    try {
      if (await loadAround(chat_id, message_id)) {
        // Who has turned elsewhere meanwhile does not wait for it.
        if (!isShown(chat_id, message_id)) setJump((now) => (now === message_id ? null : now));
        return;
      }
    } catch (error) {
      // It may be there: only the server can say.
      setJump(null);
      setMissed(message_id);
      tell({ kind: 'error', header: faultText(error) });
      if (!timelines.value.has(chat_id)) load();
      return;
    }
    setJump(null);
    tell({ kind: 'error', header: strings.messageGone });
    void loadNewest(chat_id, true).catch(() => setFault(true));
  }

  async function toLatest() {
    setMissed(null);
    skipped.value = chat_id;
    if (timeline?.newer) await loadNewest(chat_id, true).then(() => setFault(false), () => setFault(true));
    toEnd();
  }

  // Where the focus brings up a keyboard, the head of the chat has it.
  const toField = () => { if (!coarse.matches) field.current?.focus(); };

  function sent() {
    setMark(undefined);
    void toLatest();
  }

  const count = useRef(0);
  count.current = chat.unread;
  const name = nameOf(chat.peer);
  const isBlocked = blocked.value.has(chat.peer.user_id);
  // The field comes and goes with a block, which may be another device's doing: who is elsewhere stays there. Who was
  // typing comes to where the next key does nothing.
  const opened = useRef(false);
  const blockedNote = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (!opened.current || (document.activeElement === document.body && !isBlocked)) toField();
    else if (document.activeElement === document.body) blockedNote.current?.focus();
    opened.current = true;
  }, [isBlocked]);
  // There is no field to write in.
  const turnTo = (to: Answering) => {
    if (isBlocked) return toast({ header: strings.blockedByYou });
    setAnswering(chat_id, to);
    field.current?.focus();
  };
  const takeBackIntoField = (client_message_id: string) => {
    if (isBlocked) return toast({ header: strings.blockedByYou });
    if (answeringIn(chat_id)?.kind === 'edit') return toast({ header: strings.endEdit });
    const message_id = takeBack(client_message_id)?.reply_to;
    const message = timeline?.messages.find((one) => one.message_id === message_id) ?? null;
    if (message_id && !message?.deleted) setAnswering(chat_id, { kind: 'reply', message_id, message });
    field.current?.focus();
  };
  const unblock = () => {
    const tell = toaster();
    void block(chat.peer.user_id, false).catch((error: unknown) => tell({ kind: 'error', header: faultText(error) }));
  };
  const drag = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files') || isBlocked) return;
    event.preventDefault();
    setOver(event.type !== 'dragleave' && event.type !== 'drop');
    if (event.type === 'drop') addFiles(chat_id, [...event.dataTransfer.files]);
  };
  return (
    <section class="conversation" aria-label={strings.conversationWith(name)} onDragOver={drag} onDragLeave={drag} onDrop={drag}>
      <ConversationHead chat={chat} searching={search !== null} onSearch={() => setSearch(search === null ? '' : null)} />
      {search !== null && (
        <ChatSearch chat_id={chat_id} name={name} text={search} onText={setSearch} onClose={() => setSearch(null)} />
      )}
      <Log
        log={log} chat={chat} rows={shown} timeline={timeline} flash={flash} fault={fault || pageFault || missed !== null} onGone={toField} onTakeBack={takeBackIntoField}
        onAgain={() => {
          if (missed && !pageFault) return void jumpTo(missed);
          again(); void renew().catch(() => setFault(true));
        }}
        acts={{
          onReply: (message) => turnTo({ kind: 'reply', message_id: message.message_id, message }),
          onEdit: (message) => turnTo({ kind: 'edit', message, text: message.message }),
          onDelete: setDeleting,
          onJump: (message_id) => void jumpTo(message_id),
          onReport: setReported,
        }}
      />
      <div class="under-log">
        {!atEnd && timeline && (
          <button type="button" class="to-end" title={strings.jumpToLatest} onClick={() => void toLatest()}>
            <DownIcon />
            <span class="visually-hidden">{strings.jumpToLatest}</span>
            <Unread chat={chat} />
          </button>
        )}
        <p class="typing" data-testid={types ? 'typing' : undefined} aria-live="polite">
          {types && <><span class="typing-dots" aria-hidden="true"><i /><i /><i /></span><span dir="auto">{name}</span> {strings.typing}</>}
        </p>
      </div>
      {isBlocked
        ? <p class="composer-blocked" ref={blockedNote} tabIndex={-1}><span id="blocked">{strings.blockedByYou}</span> <button type="button" class="link-button" aria-describedby="blocked" onClick={unblock}>{strings.unblock}</button></p>
        : <Composer chat={chat} field={field} toField={toField} onSent={sent} />}
      {over && <div class="drop" aria-hidden="true"><p>{strings.dropHere}</p></div>}
      {reported && <ReportDialog peer={chat.peer} message={reported} onClose={() => setReported(null)} />}
      {deleting && <DeleteDialog message={deleting} onClose={() => setDeleting(null)} />}
    </section>
  );
}
