// A forgotten password, and what the links in mails lead to.
import { useEffect, useState } from 'preact/hooks';
import { forgotPassword, resetPassword } from '../api/accounts';
import { ApiError } from '../api/problem';
import { strings } from '../i18n/en';
import { confirmEmail } from '../session/profile';
import { go } from '../session/route';
import { Field } from './Field';
import { useAction, type Action } from './useAction';

const home = () => go({ view: 'chats' }, true);

function Notice({ action, done }: { action: Action; done: string }) {
  if (action.fault) return <p class="notice notice-bad" role="alert">{action.fault}</p>;
  return action.done ? <p class="notice" role="alert">{done}</p> : null;
}

export function ForgotForm() {
  const [email, setEmail] = useState('');
  const action = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    void action.run(async () => {
      try {
        await forgotPassword(email.trim());
      } catch (error) {
        if (error instanceof ApiError && (error.absent || error.code === 'mail_disabled')) throw new ApiError(400, error.code, strings.mailAbsent);
        throw error;
      }
    });
  };
  return (
    <form class="auth-form" onSubmit={submit}>
      <h1>{strings.forgotTitle}</h1>
      <p>{strings.forgotText}</p>
      <Notice action={action} done={strings.forgotDone} />
      <Field name="email" label={strings.email}>
        <input id="email" name="email" type="email" value={email} required autocomplete="email" onInput={(event) => setEmail(event.currentTarget.value)} />
      </Field>
      <button type="submit" class="button button-main" aria-disabled={action.busy}>{strings.forgotSend}</button>
      <p class="auth-switch"><a href="#/">{strings.toLogIn}</a></p>
    </form>
  );
}

export function ResetForm({ token }: { token: string }) {
  const [password, setPassword] = useState('');
  const action = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    void action.run(() => resetPassword(token, password));
  };
  return (
    <form class="auth-form" onSubmit={submit}>
      <h1>{strings.resetTitle}</h1>
      <Notice action={action} done={strings.resetDone} />
      {!action.done && (
        <>
          <Field name="new-password" label={strings.newPassword} hint={strings.passwordHint}>
            <input id="new-password" type="password" value={password} required minLength={8} autocomplete="new-password" aria-describedby="new-password-hint" onInput={(event) => setPassword(event.currentTarget.value)} />
          </Field>
          <button type="submit" class="button button-main" aria-disabled={action.busy}>{strings.changePassword}</button>
        </>
      )}
      <p class="auth-switch"><a href="#/">{strings.toLogIn}</a></p>
    </form>
  );
}

/** Confirms at once: whoever opened the link has asked for it. */
export function VerifyNotice({ token }: { token: string }) {
  const action = useAction();
  useEffect(() => void action.run(() => confirmEmail(token)), [token]);
  return (
    <div class="auth-form">
      <h1>{strings.verifyTitle}</h1>
      {action.busy && <p aria-busy="true">{strings.loading}</p>}
      <Notice action={action} done={strings.verifyDone} />
      <button type="button" class="button button-main" onClick={home}>{strings.goOn}</button>
    </div>
  );
}
