// Who is logged in, the way to people and messages, and the chats.
import { useState } from 'preact/hooks';
import { strings } from '../i18n/en';
import { account, features, identity, link, me } from '../session/state';
import { route } from '../session/route';
import { ChatList } from './ChatList';
import { composes } from './composing';
import { BellIcon, CloseIcon, GearIcon, PersonIcon, SearchIcon } from './icons';
import { PeopleResults } from './PeopleResults';
import { Avatar } from './people';
import { firstResult } from './roving';
import { SearchResultsList } from './SearchResultsList';
import { ThemeToggle } from './ThemeToggle';

type Finding = 'people' | 'messages';

export function Sidebar() {
  const [finding, setFinding] = useState<Finding | null>(null);
  const [text, setText] = useState('');
  const who = identity.value!;
  const name = account.value?.display_name || who.username;
  const person = { user_id: who.user_id, username: who.username, display_name: account.value?.display_name ?? '' };

  const write = (kind: Finding) => (value: string) => {
    setText(value);
    setFinding(value === '' ? null : kind);
  };
  const clear = () => {
    setText('');
    setFinding(null);
  };
  return (
    <aside class="sidebar" aria-label={strings.sidebar}>
      <header class="sidebar-head">
        <Avatar person={person} small />
        <span class="sidebar-name">
          <strong dir="auto">{name}</strong>
          <span class="sidebar-link" data-testid="link" data-link={link.value}>{link.value === 'online' ? <bdi>@{who.username}</bdi> : link.value === 'offline' ? strings.noConnection : strings.connecting}</span>
        </span>
        <ThemeToggle />
        {features.value.notifications && <HeadLink view="notifications" label={strings.notifications}><BellIcon /></HeadLink>}
        <HeadLink view="settings" label={strings.settings}><GearIcon /></HeadLink>
      </header>
      <div class="finders" role="search">
        <Finder id="find-people" label={strings.findPeople} icon={<PersonIcon />} value={finding === 'people' ? text : ''} onChange={write('people')} onClear={clear} />
        {features.value.search && (
          <Finder id="search-messages" label={strings.searchMessages} icon={<SearchIcon />} value={finding === 'messages' ? text : ''} onChange={write('messages')} onClear={clear} />
        )}
      </div>
      {finding === 'people' && <PeopleResults prefix={text} onDone={clear} />}
      {finding === 'messages' && <SearchResultsList text={text} />}
      {finding === null && <ChatList key={me.value} />}
    </aside>
  );
}

function HeadLink({ view, label, children }: { view: 'settings' | 'notifications'; label: string; children: preact.ComponentChildren }) {
  const here = route.value.view === view;
  return (
    <a class="icon-button" href={`#/${view}`} aria-label={label} title={label} aria-current={here ? 'page' : undefined}>{children}</a>
  );
}

interface FinderProps {
  id: string;
  label: string;
  icon: preact.ComponentChildren;
  value: string;
  onChange(value: string): void;
  onClear(): void;
}

function Finder({ id, label, icon, value, onChange, onClear }: FinderProps) {
  const key = (event: KeyboardEvent) => {
    if (composes(event)) return;
    if (event.key === 'Escape' && value !== '') {
      event.preventDefault();
      event.stopPropagation();
      onClear();
    } else if (event.key === 'ArrowDown' || (event.key === 'Enter' && value !== '')) {
      const first = firstResult(document.querySelector('.sidebar'), 'a, button');
      if (!first) return;
      event.preventDefault();
      if (event.key === 'Enter') first.click();
      else first.focus();
    }
  };
  return (
    <div class="finder">
      <label for={id} class="finder-icon">{icon}<span class="visually-hidden">{label}</span></label>
      <input id={id} type="search" enterkeyhint="search" placeholder={label} value={value} autocomplete="off" spellcheck={false} dir="auto" onInput={(event) => onChange(event.currentTarget.value)} onKeyDown={key} />
      {value !== '' && <button type="button" class="icon-button" aria-label={strings.clear} onClick={() => { onClear(); document.getElementById(id)?.focus(); }}><CloseIcon /></button>}
    </div>
  );
}
