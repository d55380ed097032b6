// How many messages of a chat were not read yet.
import { strings } from '../i18n/en';
import type { Chat } from '../store/chats';

export function Unread({ chat }: { chat: Chat }) {
  if (chat.unread === 0) return null;
  return (
    <span class={chat.muted ? 'badge badge-quiet' : 'badge'} data-testid="unread">
      <span aria-hidden="true">{chat.unread > 99 ? '99+' : chat.unread}</span>
      <span class="visually-hidden">{strings.unreadCount(chat.unread)}</span>
    </span>
  );
}
