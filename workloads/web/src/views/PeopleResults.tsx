// People whose name begins with what was written.
import { useEffect, useRef, useState } from 'preact/hooks';
import { find, FOUND_MAX } from '../api/accounts';
import { patiently } from '../api/patience';
import type { Profile } from '../api/types';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { chatWith } from '../session/listing';
import { me } from '../session/state';
import { go } from '../session/route';
import { Avatar, nameOf } from './people';
import { rove } from './roving';

const PAUSE_MS = 200;

export function PeopleResults({ prefix, onDone }: { prefix: string; onDone(): void }) {
  const [found, setFound] = useState<{ prefix: string; users: Profile[] } | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const wanted = prefix.trim().replace(/^@/, '');
  const enough = [...wanted].length >= 2;

  useEffect(() => {
    setFault(null);
    if (!enough) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      patiently(() => find(wanted, stop.signal), stop.signal, () => setFault(strings.searchWaits)).then(
        (users) => { if (stop.signal.aborted) return; setFound({ prefix: wanted, users }); setFault(null); },
        (error: unknown) => { if (!stop.signal.aborted) setFault(faultText(error)); },
      );
    }, PAUSE_MS);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [wanted]);

  async function open(person: Profile) {
    try {
      const chat_id = await chatWith(person);
      if (chat_id === null) return;
      onDone();
      go({ view: 'chat', chat_id, message_id: null });
    } catch (error) {
      setFault(faultText(error));
    }
  }

  const current = found?.prefix === wanted;
  // What is busy is not said by screen readers: a fault ends the wait, and what was found before goes.
  const users = enough && found && (current || !fault) ? found.users : [];
  const note = fault ?? (!enough ? strings.twoCharacters : !current ? strings.searching : users.length === 0 ? strings.nobodyFound(wanted) : strings.peopleFound(users.length, users.length === FOUND_MAX));
  return (
    <section class="rows" aria-label={strings.people} aria-busy={enough && !current && !fault}>
      <p class="rows-note" aria-live="polite">{note}</p>
      <ul role="list" aria-label={strings.people} ref={list} onKeyDown={(event) => list.current && rove(event, list.current, 'button')}>
        {users.map((person) => (
          <li key={person.user_id}>
            <button type="button" class="row" data-testid="person" onClick={() => void open(person)}>
              <Avatar person={person} />
              <span class="row-main">
                <strong class="row-name" dir="auto">{person.user_id === me.value ? strings.alsoYou(person.display_name || person.username) : nameOf(person)}</strong>
                <span class="row-text"><bdi>@{person.username}</bdi></span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
