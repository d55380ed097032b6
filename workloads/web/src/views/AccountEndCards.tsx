// Taking one's data along, and deleting the account.
import { useState } from 'preact/hooks';
import { exported } from '../api/export';
import { strings } from '../i18n/en';
import { deleteAccount } from '../session/lifecycle';
import { me } from '../session/state';
import { Field } from './Field';
import { Dialog } from './Dialog';
import { Outcome } from './Outcome';
import { Card } from './Page';
import { useAction } from './useAction';

/** Has the browser save the export: a link could not send the token. Who has left meanwhile leaves nothing of it here. */
async function download(): Promise<void> {
  const owner = me.value;
  const all = await exported();
  if (me.value !== owner) return;
  const url = URL.createObjectURL(all);
  const link = document.createElement('a');
  link.href = url;
  link.download = 'sentinel-export.ndjson';
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function ExportCard() {
  const action = useAction();
  return (
    <Card title={strings.exportData}>
      <button type="button" class="button" aria-disabled={action.busy} onClick={() => void action.run(download)}>{strings.exportData}</button>
      <Outcome action={action} text="" />
    </Card>
  );
}

export function DeleteAccountCard() {
  const [asking, setAsking] = useState(false);
  const [password, setPassword] = useState('');
  const action = useAction();
  const remove = (event: Event) => {
    event.preventDefault();
    void action.run(() => deleteAccount(password));
  };
  return (
    <Card title={strings.dangerZone} danger>
      <p class="hint">{strings.deleteAccountText}</p>
      <button type="button" class="button button-danger" onClick={() => setAsking(true)}>{strings.deleteAccount}</button>
      {asking && (
        <Dialog title={strings.deleteAccount} onClose={() => setAsking(false)}>
          <form onSubmit={remove}>
            <p>{strings.deleteAccountText}</p>
            <Field name="delete-password" label={strings.passwordToConfirm}>
              <input id="delete-password" type="password" value={password} required autocomplete="current-password" onInput={(event) => setPassword(event.currentTarget.value)} />
            </Field>
            <Outcome action={action} text="" />
            <div class="dialog-buttons">
              <button type="button" class="button" onClick={() => setAsking(false)}>{strings.cancel}</button>
              <button type="submit" class="button button-danger" aria-disabled={action.busy}>{strings.deleteAccount}</button>
            </div>
          </form>
        </Dialog>
      )}
    </Card>
  );
}
