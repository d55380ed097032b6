// Something that a button starts: whether it runs, what went wrong, that it is done.
import { useRef, useState } from 'preact/hooks';
import { faultText } from '../i18n/faults';

export interface Action {
  busy: boolean;
  fault: string | null;
  done: boolean;
  /** Does it, unless it is being done already: a second click means the same. */
  run(work: () => Promise<unknown>): Promise<boolean>;
  /** Does it beside what is being done: each time it is something else. */
  also(work: () => Promise<unknown>): Promise<boolean>;
}

export function useAction(): Action {
  const [state, setState] = useState({ busy: false, fault: null as string | null, done: false });
  const running = useRef(0);
  async function also(work: () => Promise<unknown>): Promise<boolean> {
    running.current += 1;
    setState({ busy: true, fault: null, done: false });
    let fault: string | null = null;
    try {
      await work();
    } catch (error) {
      fault = faultText(error);
    }
    running.current -= 1;
    const busy = running.current > 0;
    setState((now) => ({ busy, fault: fault ?? now.fault, done: !busy && fault === null && now.fault === null }));
    return fault === null;
  }
  const run = async (work: () => Promise<unknown>) => running.current === 0 && also(work);
  return { ...state, run, also };
}
