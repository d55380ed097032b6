// A change of password.
import { useState } from 'preact/hooks';
import { strings } from '../i18n/en';
import { changePassword } from '../session/sessions';
import { identity } from '../session/state';
import { Field } from './Field';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { useAction } from './useAction';

export function PasswordCard() {
  const [now, setNow] = useState('');
  const [next, setNext] = useState('');
  const action = useAction();
  const save = async (event: Event) => {
    event.preventDefault();
    if (!(await action.run(() => changePassword(now, next)))) return;
    setNow('');
    setNext('');
  };
  return (
    <Card title={strings.changePassword}>
      <form onSubmit={(event) => void save(event)}>
        <input type="text" autocomplete="username" value={identity.value?.username ?? ''} hidden readOnly />
        <Field name="current-password" label={strings.currentPassword}>
          <input id="current-password" type="password" value={now} required autocomplete="current-password" onInput={(event) => setNow(event.currentTarget.value)} />
        </Field>
        <Field name="new-password" label={strings.newPassword} hint={strings.passwordHint}>
          <input id="new-password" type="password" value={next} required minLength={8} autocomplete="new-password" aria-describedby="new-password-hint" onInput={(event) => setNext(event.currentTarget.value)} />
        </Field>
        <button type="submit" class="button" aria-disabled={action.busy}>{strings.changePassword}</button>
        <Outcome action={action} text={strings.passwordChanged} />
      </form>
    </Card>
  );
}
