// A view that is drawn again only when one of its properties is another one, or a signal that it reads has changed.
import { Component, h, type FunctionComponent } from 'preact';

export function memo<P extends object>(view: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before = this.props as Record<string, unknown>;
      const after = next as Record<string, unknown>;
      return Object.keys(after).some((key) => before[key] !== after[key]) || Object.keys(before).length !== Object.keys(after).length;
    }

    override render() {
      return h(view, this.props as P);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
