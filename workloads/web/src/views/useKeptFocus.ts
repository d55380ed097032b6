// Lists whose entries go when a button in them has been pressed.
import { useLayoutEffect } from 'preact/hooks';

/** When what has the focus in a list goes, its entry or the next one that can have it gets it, else the one before, else
 * the list's heading. */
export function useKeptFocus(list: { readonly current: HTMLElement | null }): void {
  // Before the list is drawn anew.
  const at = [...(list.current?.children ?? [])].findIndex((entry) => entry.contains(document.activeElement));
  useLayoutEffect(() => {
    const node = list.current;
    if (at === -1 || !node || document.activeElement !== document.body) return;
    const entries = [...node.children];
    const order = [...entries.slice(at), ...entries.slice(0, at).reverse()];
    const next = order.map((entry) => entry.querySelector<HTMLElement>('button, a')).find((one) => one !== null);
    (next ?? headingOf(node))?.focus();
  });
}

function headingOf(list: HTMLElement): HTMLElement | null {
  let before = list.previousElementSibling;
  while (before && !/^H[1-6]$/.test(before.tagName)) before = before.previousElementSibling;
  const heading = (before ?? list.closest('section')?.querySelector('h2, h3')) as HTMLElement | null | undefined;
  if (heading) heading.tabIndex = -1;
  return heading ?? null;
}
