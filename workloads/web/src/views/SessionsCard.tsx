// Where the user is logged in.
import { useEffect, useRef } from 'preact/hooks';
import type { Session } from '../api/types';
import { strings } from '../i18n/en';
import { mediumOf } from '../i18n/times';
import { endSession, loadSessions, sessions } from '../session/sessions';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { useAction } from './useAction';
import { useKeptFocus } from './useKeptFocus';

export function SessionsCard() {
  const action = useAction();
  useEffect(() => void action.run(loadSessions), []);
  const end = (session: Session) => action.also(() => endSession(session.id));
  const entries = useRef<HTMLUListElement>(null);
  useKeptFocus(entries);
  return (
    <Card title={strings.sessions} hint={strings.sessionsHint}>
      <ul ref={entries} class="entries" role="list" aria-label={strings.sessions}>
        {sessions.value.map((session) => (
          <li key={session.id} data-testid="session">
            <span class="entry-text">
              <strong dir="auto">{session.current ? strings.thisSession(deviceOf(session.device)) : deviceOf(session.device)}</strong>
              <span class="hint" title={session.device}>{strings.sessionSince(mediumOf(session.created_at), mediumOf(session.refreshed_at))}</span>
            </span>
            {!session.current && <button type="button" class="button" aria-label={strings.endSessionOf(deviceOf(session.device))} onClick={() => void end(session)}>{strings.endSession}</button>}
          </li>
        ))}
      </ul>
      <Outcome action={action} text="" />
    </Card>
  );
}

/** A browser's long name of itself, in two words if it is one of the common ones. */
function deviceOf(device: string): string {
  const browser = /Edg\//.test(device) ? 'Edge' : /Firefox\//.test(device) ? 'Firefox' : /Chrome\//.test(device) ? 'Chrome' : /Safari\//.test(device) ? 'Safari' : null;
  const system = /Android/.test(device) ? 'Android' : /iPhone|iPad/.test(device) ? 'iOS' : /Windows/.test(device) ? 'Windows' : /Mac OS/.test(device) ? 'macOS' : /Linux/.test(device) ? 'Linux' : null;
  return browser && system ? `${browser}, ${system}` : device || '?';
}
