// The field to write in: answers, edits, files, emoji.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Message } from '../api/types';
import { strings } from '../i18n/en';
import { answeringIn, draftOf, isAsSaved, setAnswering, setDraft, textOf } from '../session/drafts';
import { editLast, saveEdit } from '../session/editing';
import { send } from '../session/sending';
import { announce, features, me, messageBytes } from '../session/state';
import { tellStopped, tellTyping } from '../session/typing';
import { addFiles, takeUploads, uploads } from '../session/uploads';
import type { Chat } from '../store/chats';
import { areFiles } from '../store/files';
import { bytesOf } from '../store/text';
import { coarse } from './coarse';
import { composes } from './composing';
import { EmojiPicker } from './EmojiPicker';
import { AttachIcon, CheckIcon, CloseIcon, SendIcon } from './icons';
import { nameOf } from './people';
import { PendingUploads } from './PendingUploads';

interface ComposerProps {
  chat: Chat;
  field: { current: HTMLTextAreaElement | null };
  /** Brings the focus to the field. */
  toField(): void;
  onSent(): void;
}

export function Composer({ chat, field, toField, onSent }: ComposerProps) {
  const { chat_id } = chat;
  const picker = useRef<HTMLInputElement>(null);
  const answering = answeringIn(chat_id);
  const text = textOf(answering, draftOf(chat_id));
  const [saving, setSaving] = useState<Message | null>(null);
  const [tried, setTried] = useState(false);
  const files = uploads.value.get(chat_id) ?? [];
  const editing = answering?.kind === 'edit' ? answering.message : null;
  const excess = bytesOf(text) - messageBytes.value;
  const waiting = files.some((file) => file.state !== 'done');
  const empty = text.trim() === '' && (editing ? editing.attachments : files).length === 0;
  const obstacle = !waiting || editing ? null : files.some((file) => file.state === 'failed') ? strings.uploadInTheWay : strings.waitsForUpload;
  const ready = !empty && excess <= 0 && (editing !== null ? saving !== editing : !waiting);

  useEffect(() => { if (!waiting) setTried(false); }, [waiting]);
  useEffect(() => tellStopped, [chat_id]);
  useLayoutEffect(() => {
    const node = field.current;
    if (!node || CSS.supports('field-sizing', 'content')) return;
    node.style.height = 'auto';
    node.style.height = `${node.scrollHeight}px`;
  }, [text]);

  function write(value: string) {
    if (editing) return setAnswering(chat_id, { kind: 'edit', message: editing, text: value });
    setDraft(chat_id, value);
    if (value.trim() === '') tellStopped();
    else if (chat.peer.user_id !== me.value) tellTyping(chat_id);
  }

  function leave() {
    setAnswering(chat_id, null);
    field.current?.focus();
  }

  function submit() {
    if (!ready) {
      if (obstacle === null || excess > 0) return;
      setTried(true);
      announce(obstacle);
      return;
    }
    const message = text.trim();
    if (editing) {
      setSaving(editing);
      void saveEdit(editing, message, () => {
        if (isAsSaved(chat_id, editing, text)) leave();
      }).finally(() => setSaving((now) => (now === editing ? null : now)));
      return;
    }
    const media = takeUploads(chat_id);
    const type = media.length === 0 ? 'text' : media.every((file) => file.kind === 'image') ? 'image' : 'file';
    send({ chat_id, message, type, attachments: media.map((file) => file.media_id ?? ''), reply_to: answering?.kind === 'reply' ? answering.message_id : null });
    setDraft(chat_id, '');
    setAnswering(chat_id, null);
    onSent();
    field.current?.focus();
  }

  function onKey(event: KeyboardEvent) {
    if (composes(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey && (!coarse.matches || event.ctrlKey)) {
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && answering) {
      event.preventDefault();
      event.stopPropagation();
      leave();
    } else if (event.key === 'ArrowUp' && text === '' && !answering && editLast(chat_id)) {
      event.preventDefault();
    }
  }

  function insert(emoji: string) {
    const node = field.current;
    if (!node) return;
    const start = node.selectionStart;
    write(text.slice(0, start) + emoji + text.slice(node.selectionEnd));
    requestAnimationFrame(() => {
      node.focus();
      node.setSelectionRange(start + emoji.length, start + emoji.length);
    });
  }

  const attachable = features.value.media && !editing;
  const name = nameOf(chat.peer);
  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); submit(); }}>
      {answering && (
        <div class="answering">
          <div class="answering-text">
            <strong dir="auto">{editing ? strings.editing : !answering.message ? strings.replying : strings.replyingTo(answering.message.sender_id === me.value ? strings.you : name)}</strong>
            <span dir="auto">{answering.message ? answering.message.message || strings.aFile : strings.repliedGone}</span>
          </div>
          <button type="button" class="icon-button" aria-label={editing ? strings.cancelEdit : strings.cancelReply} onClick={leave}><CloseIcon /></button>
        </div>
      )}
      {!editing && files.length > 0 && <PendingUploads chat_id={chat_id} files={files} onGone={toField} />}
      {tried && obstacle && <p class="hint" id="obstacle">{obstacle}</p>}
      {excess > 0 && <p class="hint hint-bad" role="alert">{strings.tooLong(excess)}</p>}
      <div class="composer-row">
        {attachable && (
          <>
            <button type="button" class="icon-button" aria-label={strings.attach} title={strings.attach} onClick={() => picker.current?.click()}><AttachIcon /></button>
            <input
              ref={picker} type="file" multiple hidden data-testid="file"
              onChange={(event) => { addFiles(chat_id, [...(event.currentTarget.files ?? [])]); event.currentTarget.value = ''; field.current?.focus(); }}
            />
          </>
        )}
        <textarea
          ref={field} class="composer-field" rows={1} value={text} dir="auto" aria-label={strings.message} placeholder={strings.messageTo(name)} enterkeyhint={coarse.matches ? 'enter' : 'send'}
          onInput={(event) => write(event.currentTarget.value)} onKeyDown={onKey} onBlur={tellStopped}
          onPaste={(event) => {
            const pasted = [...(event.clipboardData?.files ?? [])];
            if (pasted.length === 0 || !attachable || !areFiles(event.clipboardData?.types ?? [])) return;
            event.preventDefault();
            addFiles(chat_id, pasted);
          }}
        />
        <EmojiPicker onPick={insert} />
        <button type="submit" class="send-button" aria-label={editing ? strings.save : strings.send} title={editing ? strings.save : strings.send} aria-disabled={!ready} aria-describedby={tried && obstacle ? 'obstacle' : undefined}>{editing ? <CheckIcon /> : <SendIcon />}</button>
      </div>
    </form>
  );
}
