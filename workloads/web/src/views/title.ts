// The title of the page: where one is and how much is unread. Screen readers say it first, and windows are told apart by it.
import { computed } from '@preact/signals';
import { strings } from '../i18n/en';
import { route } from '../session/route';
import { chats, identity, unread } from '../session/state';
import { nameOf } from './people';

const place = computed((): string | null => {
  const at = route.value;
  switch (at.view) {
    case 'register': return identity.value ? null : strings.createAccount;
    case 'forgot': return identity.value ? null : strings.forgotTitle;
    case 'reset-password': return strings.resetTitle;
    case 'verify-email': return strings.verifyTitle;
    default:
  }
  if (!identity.value) return identity.value === null ? strings.logIn : null;
  switch (at.view) {
    case 'settings': return strings.settings;
    case 'notifications': return strings.notifications;
    case 'chat': {
      const chat = chats.value.get(at.chat_id);
      return chat ? nameOf(chat.peer) : null;
    }
    default: return null;
  }
});

export const title = computed(() => strings.documentTitle(place.value, identity.value ? unread.value : 0));
