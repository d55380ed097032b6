// Log-in and registration.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api/problem';
import { faultText, sentence } from '../i18n/faults';
import { strings } from '../i18n/en';
import { login, register } from '../session/lifecycle';
import { endedReason } from '../session/state';
import { go, route } from '../session/route';
import { Field } from './Field';
import { EyeIcon, Logo } from './icons';
import { ForgotForm, ResetForm, VerifyNotice } from './MailedViews';
import { ThemeToggle } from './ThemeToggle';

export function AuthView() {
  const at = route.value;
  const registering = at.view === 'register';
  return (
    <div class="auth">
      <div class="auth-corner"><ThemeToggle /></div>
      <main class="auth-card">
        <div class="auth-brand">
          <Logo />
          <div>
            <p class="auth-name">{strings.brand}</p>
            <p class="auth-tagline">{strings.tagline}</p>
          </div>
        </div>
        {at.view === 'forgot' ? <ForgotForm />
          : at.view === 'reset-password' ? <ResetForm token={at.token} />
          : at.view === 'verify-email' ? <VerifyNotice token={at.token} />
          : <AuthForm key={String(registering)} registering={registering} />}
      </main>
    </div>
  );
}

function AuthForm({ registering }: { registering: boolean }) {
  const [values, setValues] = useState({ username: '', email: '', password: '' });
  const [visible, setVisible] = useState(false);
  const [busy, setBusy] = useState(false);
  const [fields, setFields] = useState<Readonly<Record<string, string>>>({});
  const [fault, setFault] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const ended = endedReason.value;

  useEffect(() => form.current?.querySelector('input')?.focus(), []);

  const change = (name: keyof typeof values) => (event: { currentTarget: HTMLInputElement }) => {
    setValues({ ...values, [name]: event.currentTarget.value });
    if (fields[name]) setFields({ ...fields, [name]: '' });
  };

  async function submit(event: Event) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setFault(null);
    setFields({});
    try {
      if (registering) await register(values.username.trim(), values.password, values.email.trim());
      else await login(values.username.trim(), values.password);
      if (route.value.view === 'register') go({ view: 'chats' }, true);
    } catch (error) {
      setBusy(false);
      const wrong = error instanceof ApiError ? { ...error.fields } : {};
      if (error instanceof ApiError && error.code === 'username_taken') wrong.username = error.message;
      if (error instanceof ApiError && error.code === 'email_taken') wrong.email = error.message;
      setFields(Object.fromEntries(Object.entries(wrong).map(([name, said]) => [name, sentence(said)])));
      const shown = ['username', 'password', ...(registering ? ['email'] : [])].find((name) => wrong[name]);
      setFault(shown ? null : faultText(error));
      const first = shown ?? 'password';
      form.current?.querySelector<HTMLInputElement>(`[name=${first}]`)?.focus();
    }
  }

  return (
    <form ref={form} class="auth-form" onSubmit={submit} noValidate={false}>
      <h1>{registering ? strings.createAccount : strings.logIn}</h1>
      {ended && !fault && <p class="notice" role="alert">{ended === 'deleted' ? strings.accountDeleted : strings.sessionEnded}</p>}
      {fault && <p class="notice notice-bad" role="alert">{fault}</p>}
      <Field name="username" label={strings.username} hint={registering ? strings.usernameHint : strings.usernameOrEmail} fault={fields.username}>
        <input id="username" name="username" value={values.username} onInput={change('username')} required maxLength={registering ? 32 : 254} autocomplete="username" autocapitalize="none" spellcheck={false} dir="auto" {...described('username', fields.username)} />
      </Field>
      {registering && (
        <Field name="email" label={strings.email} fault={fields.email}>
          <input id="email" name="email" type="email" value={values.email} onInput={change('email')} required autocomplete="email" {...described('email', fields.email)} />
        </Field>
      )}
      <Field name="password" label={strings.password} hint={registering ? strings.passwordHint : undefined} fault={fields.password}>
        <span class="field-with-button">
          <input id="password" name="password" type={visible ? 'text' : 'password'} value={values.password} onInput={change('password')} required minLength={registering ? 8 : 1} autocomplete={registering ? 'new-password' : 'current-password'} {...described('password', fields.password)} />
          <button type="button" class="icon-button" aria-pressed={visible} aria-label={visible ? strings.hidePassword : strings.showPassword} title={visible ? strings.hidePassword : strings.showPassword} onClick={() => setVisible(!visible)}>
            <EyeIcon />
          </button>
        </span>
      </Field>
      <button type="submit" class="button button-main" aria-disabled={busy}>
        {registering ? strings.createAccount : strings.logIn}
      </button>
      <p class="auth-switch">
        {registering ? strings.haveAccount : strings.noAccount}{' '}
        <a href={registering ? '#/' : '#/register'}>{registering ? strings.toLogIn : strings.toRegister}</a>
      </p>
      {!registering && <p class="auth-switch"><a href="#/forgot">{strings.forgotPassword}</a></p>}
    </form>
  );
}

const described = (name: string, fault: string | undefined) => ({
  'aria-describedby': `${name}-hint`,
  'aria-invalid': fault ? true : false,
});
