// Where the log of messages is scrolled to: at the end while new ones come, in place while older ones are put above.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { loadNewer, loadOlder, trim } from '../session/history';
import { visibleUpTo } from '../session/state';
import type { Timeline } from '../store/timeline';

/** How close to an end of what is loaded the next page is fetched. */
const NEAR = 600;
const AT_END = 48;

interface Options {
  chat_id: string;
  timeline: Timeline | undefined;
  /** Whether there is a mark of new messages to begin at. */
  marked: boolean;
  /** Whether what belongs above is still on its way, so that there is no place to begin at yet. */
  seeking: boolean;
  /** A message to bring to the middle, and what to do when that is done. */
  jump: string | null;
  onJumped(): void;
}

export function useLog({ chat_id, timeline, marked, seeking, jump, onJumped }: Options) {
  const log = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  const placed = useRef(false);
  const anchor = useRef<{ key: string; offset: number } | null>(null);
  const [atEnd, setAtEnd] = useState(true);
  const [fault, setFault] = useState(false);
  const newer = timeline?.newer ?? false;
  const older = timeline?.older ?? false;
  const loaded = timeline !== undefined;

  const children = () => [...(log.current?.querySelectorAll<HTMLElement>('[data-key]') ?? [])];

  /** Notes what is in sight. */
  const measure = () => {
    const node = log.current;
    if (!node || !placed.current) return;
    const bottom = node.scrollTop + node.clientHeight;
    const end = node.scrollHeight - bottom < AT_END;
    stick.current = end && !newer;
    setAtEnd(stick.current);
    let seen: string | null = null;
    anchor.current = null;
    for (const element of children()) {
      const top = element.offsetTop;
      const key = element.dataset.key ?? '';
      if (!anchor.current && top + element.offsetHeight > node.scrollTop) anchor.current = { key, offset: top - node.scrollTop };
      if (top + Math.min(element.offsetHeight, 48) > bottom + 1) break;
      if (element.dataset.message) seen = element.dataset.message;
    }
    if (node.clientHeight > 0) visibleUpTo.value = { chat_id, message_id: seen };
    if (stick.current) trim(chat_id);
  };

  const fetchMore = () => {
    const node = log.current;
    if (!node || !placed.current) return;
    const load = node.scrollTop < NEAR && older ? loadOlder
      : node.scrollHeight - node.scrollTop - node.clientHeight < NEAR && newer ? loadNewer : null;
    if (load) load(chat_id).then(() => setFault(false), () => setFault(true));
  };

  /** Puts things back in place after what is shown has changed. */
  const place = () => {
    const node = log.current;
    if (!node || !loaded) return;
    if (jump) {
      const target = node.querySelector<HTMLElement>(`[data-message="${jump}"]`);
      if (target) {
        stick.current = false;
        placed.current = true;
        node.scrollTop = target.offsetTop - (node.clientHeight - target.offsetHeight) / 2;
        target.focus({ preventScroll: true });
        onJumped();
        measure();
        return;
      }
    }
    if (!placed.current) {
      node.scrollTop = node.scrollHeight;
      if (seeking) return;
      placed.current = true;
      const mark = marked ? node.querySelector<HTMLElement>('[data-new]') : null;
      if (mark && mark.offsetTop < node.scrollHeight - node.clientHeight) {
        node.scrollTop = Math.max(0, mark.offsetTop - 72);
        stick.current = false;
      }
    } else if (stick.current && !newer) {
      node.scrollTop = node.scrollHeight;
    } else if (anchor.current) {
      const kept = anchor.current;
      const element = node.querySelector<HTMLElement>(`[data-key="${kept.key}"]`);
      if (element) node.scrollTop = element.offsetTop - kept.offset;
    }
    measureSoon();
  };

  const frame = useRef(0);
  /** Once for all changes until the next picture. */
  const measureSoon = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      latest.current.measure();
      latest.current.fetchMore();
    });
  };

  const latest = useRef({ place, measure, fetchMore });
  latest.current = { place, measure, fetchMore };

  useLayoutEffect(place);

  useEffect(() => {
    const node = log.current;
    if (!node) return undefined;
    const resized = new ResizeObserver(() => latest.current.place());
    resized.observe(node);
    if (node.firstElementChild) resized.observe(node.firstElementChild);
    node.addEventListener('scroll', measureSoon, { passive: true });
    return () => {
      cancelAnimationFrame(frame.current);
      resized.disconnect();
      node.removeEventListener('scroll', measureSoon);
      if (visibleUpTo.value?.chat_id === chat_id) visibleUpTo.value = null;
    };
  }, [chat_id]);

  /** Follows the end from now on. */
  const toEnd = () => {
    stick.current = true;
    const node = log.current;
    if (node) node.scrollTop = node.scrollHeight;
    measure();
  };
  return { log, atEnd: atEnd && !newer, toEnd, fault, again: fetchMore };
}
