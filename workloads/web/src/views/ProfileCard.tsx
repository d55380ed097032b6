// The name that others see.
import { useEffect, useState } from 'preact/hooks';
import { sendVerification } from '../api/accounts';
import { strings } from '../i18n/en';
import { loadAccount, rename } from '../session/profile';
import { account, unconfirmed } from '../session/state';
import { Field } from './Field';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { useAction } from './useAction';

export function ProfileCard() {
  const mine = account.value;
  const [name, setName] = useState<string | null>(null);
  const action = useAction();
  // The address may have been confirmed, and the name changed, elsewhere.
  useEffect(() => void loadAccount().catch(() => undefined), []);
  const shown = name ?? mine?.display_name ?? '';
  const save = (event: Event) => {
    event.preventDefault();
    void action.run(async () => {
      await rename(shown.trim());
      setName(null);
    });
  };
  return (
    <Card title={strings.profile}>
      {mine && <p class="hint"><bdi>@{mine.username}</bdi> · <bdi>{mine.email}</bdi></p>}
      {unconfirmed.value && <Unverified />}
      <form onSubmit={save}>
        <Field name="display-name" label={strings.displayName} hint={strings.displayNameHint}>
          <input id="display-name" value={shown} required maxLength={64} dir="auto" autocomplete="nickname" aria-describedby="display-name-hint" onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <button type="submit" class="button" aria-disabled={action.busy}>{strings.save}</button>
        <Outcome action={action} text={strings.saved} />
      </form>
    </Card>
  );
}

/** Has the mail sent again whose link confirms the address. */
function Unverified() {
  const action = useAction();
  const ask = () => void action.run(sendVerification);
  return (
    <>
      <p class="hint">{strings.notVerified} <button type="button" class="link-button" onClick={ask}>{strings.sendVerification}</button></p>
      <Outcome action={action} text={strings.verificationSent} />
    </>
  );
}
