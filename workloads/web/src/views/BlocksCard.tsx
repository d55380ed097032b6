// Who is blocked.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Block } from '../api/types';
import { strings } from '../i18n/en';
import { block, loadBlocks } from '../session/blocks';
import { blocked } from '../session/state';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { Avatar, nameOf } from './people';
import { useAction } from './useAction';
import { useKeptFocus } from './useKeptFocus';

export function BlocksCard() {
  const [all, setAll] = useState<readonly Block[] | null>(null);
  const action = useAction();
  useEffect(() => void action.run(async () => setAll(await loadBlocks())), []);
  const list = all?.filter((one) => blocked.value.has(one.user_id));
  const entries = useRef<HTMLUListElement>(null);
  useKeptFocus(entries);
  return (
    <Card title={strings.blockedPeople}>
      {list?.length === 0 && <p class="hint">{strings.nobodyBlocked}</p>}
      <ul ref={entries} class="entries" role="list" aria-label={strings.blockedPeople}>
        {list?.map((one) => (
          <li key={one.user_id}>
            <Avatar person={one} small />
            <span class="entry-text"><strong dir="auto">{nameOf(one)}</strong><span class="hint"><bdi>@{one.username}</bdi></span></span>
            <button type="button" class="button" aria-label={strings.unblockPerson(nameOf(one))} onClick={() => void action.also(() => block(one.user_id, false))}>{strings.unblock}</button>
          </li>
        ))}
      </ul>
      <Outcome action={action} text="" />
    </Card>
  );
}
