// Who is blocked.
import { useEffect, useState } from 'preact/hooks';
import { blocks, unblock } from '../api/accounts';
import type { Block } from '../api/types';
import { strings } from '../i18n/en';
import { blocked } from '../session/state';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { Avatar, nameOf } from './people';
import { useAction } from './useAction';

export function BlocksCard() {
  const [list, setList] = useState<readonly Block[] | null>(null);
  const action = useAction();
  const load = async () => {
    const known = await blocks();
    setList(known);
    blocked.value = new Set(known.map((one) => one.user_id));
  };
  useEffect(() => void action.run(load), []);
  const free = (one: Block) => action.run(async () => {
    await unblock(one.user_id);
    await load();
  });
  return (
    <Card title={strings.blockedPeople}>
      {list?.length === 0 && <p class="hint">{strings.nobodyBlocked}</p>}
      <ul class="entries" role="list" aria-label={strings.blockedPeople}>
        {list?.map((one) => (
          <li key={one.user_id}>
            <Avatar person={one} small />
            <span class="entry-text"><strong dir="auto">{nameOf(one)}</strong><span class="hint">@{one.username}</span></span>
            <button type="button" class="button" onClick={() => void free(one)}>{strings.unblock}</button>
          </li>
        ))}
      </ul>
      <Outcome action={action} text="" />
    </Card>
  );
}
