// The settings: profile, appearance, notifications, password, sessions, blocks, and the end of the account.
import { useEffect } from 'preact/hooks';
import { strings } from '../i18n/en';
import { checkPush } from '../session/push';
import { logout } from '../session/lifecycle';
import { features } from '../session/state';
import { dark, setDark } from '../session/theme';
import { DeleteAccountCard, ExportCard } from './AccountEndCards';
import { BlocksCard } from './BlocksCard';
import { NotificationSettingsCard } from './NotificationSettingsCard';
import { Card, Page } from './Page';
import { PasswordCard } from './PasswordCard';
import { ProfileCard } from './ProfileCard';
import { SessionsCard } from './SessionsCard';
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
      <Card title={strings.keyboard}>
        <dl class="keys">
          {strings.shortcuts.map(([keys, what]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div>)}
        </dl>
      </Card>
      <ExportCard />
      <Card title={strings.logOut}>
        <button type="button" class="button" onClick={() => void logout()}>{strings.logOut}</button>
      </Card>
      <DeleteAccountCard />
    </Page>
  );
}
