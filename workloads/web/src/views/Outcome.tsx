// What became of an action.
import type { Action } from './useAction';

export function Outcome({ action, text }: { action: Action; text: string }) {
  if (action.fault) return <p class="notice notice-bad" role="alert">{action.fault}</p>;
  return <p class="outcome" aria-live="polite">{action.done ? text : ''}</p>;
}
