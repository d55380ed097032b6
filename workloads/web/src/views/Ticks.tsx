// How far a message has got, as ticks.
import { strings } from '../i18n/en';
import { ClockTick, FailTick, OneTick, ReadTicks, TwoTicks } from './icons';

export type Progress = 'pending' | 'failed' | 'sent' | 'delivered' | 'read';

const ICONS = { pending: ClockTick, failed: FailTick, sent: OneTick, delivered: TwoTicks, read: ReadTicks };

export function Ticks({ status, title }: { status: Progress; title?: string | undefined }) {
  const Icon = ICONS[status];
  return (
    <span class={`ticks ticks-${status}`} title={title ?? strings.statuses[status]}>
      <Icon />
      <span class="visually-hidden">{strings.statuses[status]}</span>
    </span>
  );
}
