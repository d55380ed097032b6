// Something that a button starts: whether it runs, what went wrong, that it is done.
import { useState } from 'preact/hooks';
import { faultText } from '../i18n/faults';

export interface Action {
  busy: boolean;
  fault: string | null;
  done: boolean;
  run(work: () => Promise<unknown>): Promise<boolean>;
}

export function useAction(): Action {
  const [state, setState] = useState({ busy: false, fault: null as string | null, done: false });
  async function run(work: () => Promise<unknown>): Promise<boolean> {
    if (state.busy) return false;
    setState({ busy: true, fault: null, done: false });
    try {
      await work();
      setState({ busy: false, fault: null, done: true });
      return true;
    } catch (error) {
      setState({ busy: false, fault: faultText(error), done: false });
      return false;
    }
  }
  return { ...state, run };
}
