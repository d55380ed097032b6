// The settings: profile, appearance, notifications, password, sessions, blocks, and the end of the account.
import { useEffect, useState } from 'preact/hooks';
import { strings } from '../i18n/en';
import { checkPush } from '../session/push';
import { logout } from '../session/lifecycle';
import { features } from '../session/state';
import { dark, setDark } from '../session/theme';
import { unsent } from '../session/unsent';
import { DeleteAccountCard, ExportCard } from './AccountEndCards';
import { BlocksCard } from './BlocksCard';
import { coarse } from './coarse';
import { ConfirmDialog } from './Dialog';
import { NotificationSettingsCard } from './NotificationSettingsCard';
import { Card, Page } from './Page';
import { PasswordCard } from './PasswordCard';
import { ProfileCard } from './ProfileCard';
import { SessionsCard } from './SessionsCard';
import { apple } from './shortcuts';
import { Switch } from './Switch';

export function SettingsView() {
  useEffect(() => void checkPush(), []);
  return (
    <Page title={strings.settings}>
      <ProfileCard />
      <Card title={strings.appearance}>
        <Switch label={strings.darkMode} on={dark.value} onChange={setDark} />
      </Card>
      {features.value.notifications && <NotificationSettingsCard />}
      <PasswordCard />
      <SessionsCard />
      <BlocksCard />
      {!coarse.matches && (
        <Card title={strings.keyboard}>
          <dl class="keys">
            {strings.shortcuts(apple).map(([keys, what]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div>)}
          </dl>
        </Card>
      )}
      <ExportCard />
      <LogOutCard />
      <DeleteAccountCard />
    </Page>
  );
}

/** Asks first when messages would be lost: nothing of an account is left behind. */
function LogOutCard() {
  const [asking, setAsking] = useState(false);
  return (
    <Card title={strings.logOut}>
      <button type="button" class="button" onClick={() => { if (unsent.value > 0) setAsking(true); else void logout(); }}>{strings.logOut}</button>
      {asking && (
        <ConfirmDialog title={strings.logOutTitle} text={strings.unsentText(unsent.value)} action={strings.logOut} danger onYes={() => void logout()} onNo={() => setAsking(false)} />
      )}
    </Card>
  );
}
