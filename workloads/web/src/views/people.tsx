// How people are shown: name, picture of initials, presence.
import { strings } from '../i18n/en';
import { me, presence, type Presence, type Status } from '../session/state';
import { NoteIcon } from './icons';
import { useOf } from './useOf';

export interface Person {
  user_id: string;
  username: string;
  display_name: string;
}

export const nameOf = (person: Person): string =>
  person.user_id === me.value ? strings.notesToSelf : person.display_name || person.username || '…';

const COLOURS = 8;

/** A colour that a person keeps. */
function colourOf(user_id: string): number {
  let sum = 0;
  for (const character of user_id) sum = (sum * 31 + character.charCodeAt(0)) % 9973;
  return sum % COLOURS;
}

function initialsOf(person: Person): string {
  const words = (person.display_name || person.username || '?').split(/[\s._]+/u).filter(Boolean);
  const [first = '?', second] = words;
  const letter = (word: string) => [...word][0] ?? '';
  return (second ? letter(first) + letter(second) : [...first].slice(0, 2).join('')).toUpperCase();
}

export function Avatar({ person, dot = false, small = false }: { person: Person; dot?: boolean; small?: boolean }) {
  const self = person.user_id === me.value;
  return (
    <span class={`avatar avatar-${colourOf(person.user_id)} ${small ? 'avatar-small' : ''}`}>
      <span class="avatar-text" aria-hidden="true">{self && dot ? <NoteIcon /> : initialsOf(person)}</span>
      {dot && !self && <PresenceDot user_id={person.user_id} />}
    </span>
  );
}

/** What is known of somebody's presence: nothing without a connection, or of who is not watched. */
export const presenceOf = (user_id: string): Presence | undefined => presence.value.get(user_id);

const statusOf = (user_id: string): Status | undefined => presenceOf(user_id)?.status;

function PresenceDot({ user_id }: { user_id: string }) {
  const status = useOf(user_id, statusOf);
  if (!status) return null;
  return (
    <span class={`dot dot-${status}`} data-testid="presence" data-status={status} role="img" aria-label={strings.presence[status]} title={strings.presence[status]} />
  );
}
