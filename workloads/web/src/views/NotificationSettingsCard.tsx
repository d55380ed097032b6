// How the user is told of messages.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api/problem';
import type { Preferences } from '../api/types';
import { strings } from '../i18n/en';
import { loadPreferences, muteChat, preferences, savePreferences } from '../session/preferences';
import { pushesElsewhere, subscribe, subscribed, unsubscribe } from '../session/push';
import { chats, features } from '../session/state';
import { clockHere, partOf, quietAt, withTime, type Quiet } from '../store/minutes';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { nameOf } from './people';
import { Switch } from './Switch';
import { TimeField } from './TimeField';
import { useAction } from './useAction';
import { useKeptFocus } from './useKeptFocus';

export function NotificationSettingsCard() {
  const action = useAction();
  const [pushing, setPushing] = useState(false);
  useEffect(() => {
    void action.run(loadPreferences);
    void subscribed().then(setPushing, () => undefined);
  }, []);
  const mutes = useRef<HTMLUListElement>(null);
  useKeptFocus(mutes);
  const now = preferences.value;
  const push = (on: boolean) => action.also(async () => {
    if (!on) await unsubscribe();
    else if (!(await subscribe())) throw new ApiError(400, 'push_denied', strings.pushDenied);
    setPushing(on);
  });
  if (!now) return <Card title={strings.notificationSettings}><Outcome action={action} text="" /></Card>;
  const here = clockHere();
  const quiet = now.quiet_hours ? quietAt(now.quiet_hours, here) : null;
  const change = (how: (known: Preferences) => Preferences) => action.also(() => savePreferences(how));
  const setQuiet = (hours: Required<Quiet> | null) => change((known) => ({ ...known, quiet_hours: hours }));
  const changeQuiet = (name: 'from_minute' | 'to_minute') => (minute: number) =>
    change((known) => (known.quiet_hours ? { ...known, quiet_hours: withTime(quietAt(known.quiet_hours, here), name, minute) } : known));
  return (
    <Card title={strings.notificationSettings}>
      <Switch label={strings.showContent} hint={strings.showContentHint} on={now.show_content ?? false} onChange={(on) => change((known) => ({ ...known, show_content: on }))} />
      {features.value.push && <Switch label={strings.push} hint={strings.pushHint} on={pushing} onChange={push} />}
      {pushesElsewhere.value && <p class="hint">{strings.pushElsewhere}</p>}
      <Switch label={strings.quietHours} hint={strings.quietHint} on={quiet !== null} onChange={(on) => setQuiet(on ? { from_minute: 22 * 60, to_minute: 7 * 60, ...here } : null)} />
      {quiet && (
        <div class="quiet">
          <label>{strings.quietFrom} <TimeField minute={quiet.from_minute} onSave={changeQuiet('from_minute')} /></label>
          <label>{strings.quietTo} <TimeField minute={quiet.to_minute} onSave={changeQuiet('to_minute')} /></label>
        </div>
      )}
      <p class="hint" aria-live="polite">{quiet && strings.quietPart[partOf(quiet)]}</p>
      <h4>{strings.mutedChats}</h4>
      {(now.muted ?? []).length === 0 && <p class="hint">{strings.nothingMuted}</p>}
      <ul ref={mutes} class="entries" role="list" aria-label={strings.mutedChats}>
        {(now.muted ?? []).map(({ chat_id }) => {
          const chat = chats.value.get(chat_id);
          const name = chat ? nameOf(chat.peer) : chat_id;
          return (
            <li key={chat_id}>
              <span class="entry-text"><strong dir="auto">{name}</strong></span>
              <button type="button" class="button" aria-label={strings.unmuteChat(name)} onClick={() => void action.also(() => muteChat(chat_id, false))}>{strings.unmute}</button>
            </li>
          );
        })}
      </ul>
      <Outcome action={action} text="" />
    </Card>
  );
}
