// The head of a chat: the other member, its presence, and what can be done.
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { mediumOf } from '../i18n/times';
import { block } from '../session/blocks';
import { muteChat } from '../session/preferences';
import { blocked, features, me } from '../session/state';
import { toaster } from '../session/toasts';
import type { Chat } from '../store/chats';
import { useEffect, useRef, useState } from 'preact/hooks';
import { coarse } from './coarse';
import { ConfirmDialog } from './Dialog';
import { BackIcon, BellIcon, BellOffIcon, FlagIcon, MoreIcon, SearchIcon, ShieldIcon } from './icons';
import { Menu, type MenuItem } from './Menu';
import { Avatar, nameOf, presenceOf } from './people';
import { ReportDialog } from './ReportDialog';

export function ConversationHead({ chat, searching, onSearch }: { chat: Chat; searching: boolean; onSearch(): void }) {
  const [asking, setAsking] = useState(false);
  const [reporting, setReporting] = useState(false);
  const { peer } = chat;
  const name = nameOf(peer);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { if (coarse.matches) heading.current?.focus({ preventScroll: true }); }, []);
  const self = peer.user_id === me.value;
  const isBlocked = blocked.value.has(peer.user_id);

  async function setBlock(on: boolean) {
    setAsking(false);
    const tell = toaster();
    try {
      await block(peer.user_id, on);
      tell({ header: on ? strings.blockedNow(name) : strings.unblockedNow(name) });
    } catch (error) {
      tell({ kind: 'error', header: faultText(error) });
    }
  }
  async function setMuted(on: boolean) {
    const tell = toaster();
    try {
      await muteChat(chat.chat_id, on);
      tell({ header: on ? strings.mutedNow : strings.unmutedNow });
    } catch (error) {
      tell({ kind: 'error', header: faultText(error) });
    }
  }

  const items: MenuItem[] = [];
  if (features.value.notifications) {
    items.push(chat.muted
      ? { label: strings.unmute, icon: <BellIcon />, act: () => void setMuted(false) }
      : { label: strings.mute, icon: <BellOffIcon />, act: () => void setMuted(true) });
  }
  if (!self) {
    items.push(isBlocked
      ? { label: strings.unblock, icon: <ShieldIcon />, act: () => void setBlock(false) }
      : { label: strings.block, icon: <ShieldIcon />, danger: true, act: () => setAsking(true) });
  }
  if (!self && features.value.reports) items.push({ label: strings.report, icon: <FlagIcon />, danger: true, act: () => setReporting(true) });
  return (
    <header class="head">
      <a class="icon-button head-back" href="#/" aria-label={strings.back} title={strings.back}><BackIcon /></a>
      <Avatar person={peer} dot={!self} />
      <div class="head-text">
        <h2 dir="auto" ref={heading} tabIndex={-1}>{name}</h2>
        <p class="head-status">{self ? strings.beginningSelf : <><bdi>@{peer.username}</bdi>{presenceText(peer.user_id)}</>}</p>
      </div>
      {features.value.search && (
        <button type="button" class="icon-button" aria-label={strings.searchHere} title={strings.searchHere} aria-expanded={searching} onClick={onSearch}><SearchIcon /></button>
      )}
      {items.length > 0 && <Menu label={strings.chatMenu} items={items}><MoreIcon /></Menu>}
      {reporting && <ReportDialog peer={peer} onClose={() => setReporting(false)} />}
      {asking && (
        <ConfirmDialog title={strings.blockTitle(name)} text={strings.blockText} action={strings.block} danger onYes={() => void setBlock(true)} onNo={() => setAsking(false)} />
      )}
    </header>
  );
}

function presenceText(user_id: string): string {
  const known = presenceOf(user_id);
  if (!known) return '';
  const { status, last_active } = known;
  const text = status === 'offline' && last_active ? strings.lastSeen(mediumOf(last_active)) : strings.presence[status];
  return ` · ${text}`;
}
