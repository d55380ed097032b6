// Arrow keys in lists: one stop for Tab, the arrows move within.

/** Moves the focus among the elements that match, as the key says. Gives whether it did. */
export function rove(event: KeyboardEvent, container: HTMLElement, selector: string): boolean {
  const items = [...container.querySelectorAll<HTMLElement>(selector)];
  const at = items.findIndex((item) => item === document.activeElement || item.contains(document.activeElement));
  const target = { ArrowDown: at + 1, ArrowUp: at === -1 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (target === undefined || event.altKey || event.ctrlKey || event.metaKey) return false;
  const item = items[Math.min(items.length - 1, Math.max(0, target))];
  if (!item) return false;
  event.preventDefault();
  item.focus();
  return true;
}

/** The first result that matches, once the results are those of what is written now: until then they are none to open. */
export const firstResult = (container: ParentNode | null, selector: string): HTMLElement | null =>
  container?.querySelector<HTMLElement>(`.rows:not([aria-busy="true"]) :is(${selector})`) ?? null;
