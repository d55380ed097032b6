// The icons, drawn in one style: 24 units, lines of 1.8, in the colour of the text.
import type { ComponentChildren } from 'preact';

function Icon({ children, class: name }: { children: ComponentChildren; class?: string }) {
  return (
    <svg class={`icon ${name ?? ''}`} viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">
      {children}
    </svg>
  );
}

export const Logo = () => (
  <svg class="logo" viewBox="0 0 64 64" aria-hidden="true">
    <rect class="logo-ground" width="64" height="64" rx="17" />
    <path class="logo-shield" d="M32 11c-8 4-13 5-19 5v14c0 13 7 20 19 25 12-5 19-12 19-25V16c-6 0-11-1-19-5z" />
    <path class="logo-lines" d="M23 27h18M23 35.5h11" fill="none" stroke-width="4.4" stroke-linecap="round" />
  </svg>
);

export const BackIcon = () => <Icon class="flips"><path d="M15 5l-7 7 7 7" /></Icon>;
export const SendIcon = () => <Icon class="flips"><path d="M4.5 12h8M4.5 12L3 4.5c0-.6.6-1 1.2-.7L21 12 4.2 20.2c-.6.3-1.2-.1-1.2-.7z" /></Icon>;
export const CheckIcon = () => <Icon><path d="M4.5 12.5l5 5L19.5 7" /></Icon>;
export const AttachIcon = () => <Icon><path d="M20 11.5l-8.3 8.3a5.2 5.2 0 0 1-7.4-7.4l8.7-8.6a3.5 3.5 0 0 1 5 5l-8.6 8.5a1.7 1.7 0 0 1-2.5-2.4l7.7-7.6" /></Icon>;
export const SearchIcon = () => <Icon><circle cx="11" cy="11" r="6.5" /><path d="M16 16l4.5 4.5" /></Icon>;
export const PersonIcon = () => <Icon><circle cx="10" cy="8" r="4" /><path d="M3 20c.6-3.9 3.3-6 7-6s6.4 2.1 7 6M19 8v6M16 11h6" /></Icon>;
export const BellIcon = () => <Icon><path d="M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 21h4" /></Icon>;
export const BellOffIcon = () => <Icon><path d="M8 6.5A6 6 0 0 1 18 11v4M6 10.5v6L4.5 18H17M10 21h4M4 4l16 16" /></Icon>;
export const GearIcon = () => <Icon><circle cx="12" cy="12" r="3.2" /><path d="M19.4 13.5a7.7 7.7 0 0 0 0-3l2-1.5-2-3.4-2.3 1a7.5 7.5 0 0 0-2.6-1.5L14.2 2.5h-4l-.4 2.6a7.5 7.5 0 0 0-2.6 1.5l-2.3-1-2 3.4 2 1.5a7.7 7.7 0 0 0 0 3l-2 1.5 2 3.4 2.3-1a7.5 7.5 0 0 0 2.6 1.5l.4 2.6h4l.4-2.6a7.5 7.5 0 0 0 2.6-1.5l2.3 1 2-3.4z" /></Icon>;
export const MoonIcon = () => <Icon><path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z" /></Icon>;
export const SunIcon = () => <Icon><circle cx="12" cy="12" r="4" /><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" /></Icon>;
export const CloseIcon = () => <Icon><path d="M6 6l12 12M18 6L6 18" /></Icon>;
export const MoreIcon = () => <Icon><path d="M12 5.5v.01M12 12v.01M12 18.5v.01" stroke-width="3" /></Icon>;
export const ReplyIcon = () => <Icon class="flips"><path d="M9.5 6L4 11.5 9.5 17M4.5 11.5H14c3.5 0 6 2.2 6 6.5" /></Icon>;
export const EditIcon = () => <Icon><path d="M4 20l1-4.5L16.5 4 20 7.5 8.5 19zM14 6.5l3.5 3.5" /></Icon>;
export const TrashIcon = () => <Icon><path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10.5 11v5.5M13.5 11v5.5" /></Icon>;
export const CopyIcon = () => <Icon><rect x="8.5" y="8.5" width="11" height="11.5" rx="2" /><path d="M15.5 8.5V6a2 2 0 0 0-2-2H6.5a2 2 0 0 0-2 2v7.5a2 2 0 0 0 2 2h2" /></Icon>;
export const FileIcon = () => <Icon><path d="M6 3.5h8L19 8.5v12H6zM13.5 3.5V9H19" /></Icon>;
export const SmileIcon = () => <Icon><circle cx="12" cy="12" r="8.5" /><path d="M8.5 14.5c1.8 2.3 5.2 2.3 7 0M9 9.5v.01M15 9.5v.01" /></Icon>;
export const DownIcon = () => <Icon><path d="M12 5v14M6 13.5l6 6 6-6" /></Icon>;
export const RetryIcon = () => <Icon><path d="M19.5 12a7.5 7.5 0 1 1-2.3-5.4L19.5 9M19.5 4.5V9H15" /></Icon>;
export const EyeIcon = () => <Icon><path d="M2.5 12C5 7.5 8.3 5.5 12 5.5s7 2 9.5 6.5c-2.5 4.5-5.8 6.5-9.5 6.5S5 16.5 2.5 12z" /><circle cx="12" cy="12" r="3" /></Icon>;
export const NoteIcon = () => <Icon><path d="M6 3.5h12v17l-6-4-6 4z" /></Icon>;
export const ShieldIcon = () => <Icon><circle cx="12" cy="12" r="8.5" /><path d="M6 6l12 12" /></Icon>;

export const FlagIcon = () => <Icon><path d="M5.5 21V4M5.5 4.5c4-2 8 2 13 0v9c-5 2-9-2-13 0" /></Icon>;

/** Ticks of a message: one when the server has it, two when a device has it. */
export const OneTick = () => <svg class="tick" viewBox="0 0 20 14" aria-hidden="true"><path d="M5 7.5l3.5 3.5L15 3.5" /></svg>;
export const TwoTicks = () => <svg class="tick" viewBox="0 0 20 14" aria-hidden="true"><path d="M1.5 7.5L5 11l6.5-7.5M9.5 10.5l.6.5 7.4-7.5" /></svg>;
/** Filled, so that it is told from the others not by its colour alone. */
export const ReadTicks = () => <svg class="tick" viewBox="0 0 20 14" aria-hidden="true"><rect class="tick-ground" width="20" height="14" rx="7" /><path d="M3.5 7.3L6 9.8l4.6-5.4M9.4 9.3l.6.5 5.6-6.2" /></svg>;
export const ClockTick = () => <svg class="tick" viewBox="0 0 20 14" aria-hidden="true"><circle cx="10" cy="7" r="5" /><path d="M10 4v3l2 1.5" /></svg>;
export const FailTick = () => <svg class="tick" viewBox="0 0 20 14" aria-hidden="true"><circle cx="10" cy="7" r="5.5" /><path d="M10 3.8v3.7M10 9.9v.1" /></svg>;
