// The whole page: log-in, or the chats of who is logged in.
import { useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { strings } from '../i18n/en';
import { announcements, identity } from '../session/state';
import { isMailed, route } from '../session/route';
import { AuthView } from './AuthView';
import { Logo } from './icons';
import { Shell } from './Shell';
import { title } from './title';
import { Toasts } from './Toasts';

export function App() {
  const who = identity.value;
  const before = useRef(who);
  useEffect(() => {
    // The form is gone, and the focus with it.
    if (before.current === null && who && document.activeElement === document.body) document.querySelector('h1')?.focus();
    before.current = who;
  }, [who]);
  useSignalEffect(() => { document.title = title.value; });
  return (
    <>
      {who === undefined ? <Splash /> : who === null || isMailed(route.value) ? <AuthView /> : <Shell key={who.user_id} />}
      <Toasts />
      <div class="visually-hidden" aria-live="polite">
        {announcements.value.map(({ key, text }) => <p key={key}>{text}</p>)}
      </div>
    </>
  );
}

function Splash() {
  return (
    <div class="splash" aria-busy="true" aria-label={strings.loading}>
      <Logo />
    </div>
  );
}
