// Draws a view without a page: what it returns, after its hooks have run. Of views within it only their properties are there.
import { h, render, type ComponentChild, type VNode } from 'preact';

type Props = Record<string, unknown>;

/** Draws it from now on, and gives what finds an element by its name and its text in what it is now. */
export function drawn<P extends object>(view: (props: P) => VNode, props: P): (type: string, text?: string) => Props | undefined {
  let tree: VNode | null = null;
  const Drawn = (given: P) => {
    tree = view(given);
    return null;
  };
  // Nothing is put into it, so it need be no element.
  const place = { childNodes: [], firstChild: null } as unknown as Element;
  render(h(Drawn, props), place);
  return (type, text) => find(tree, type, text);
}

function find(node: ComponentChild | ComponentChild[], type: string, text?: string): Props | undefined {
  if (Array.isArray(node)) {
    for (const one of node) {
      const found = find(one, type, text);
      if (found) return found;
    }
    return undefined;
  }
  if (typeof node !== 'object' || node === null || !('props' in node)) return undefined;
  const props = node.props as Props;
  if (node.type === type && (text === undefined || props.children === text)) return props;
  return find(props.children as ComponentChild, type, text);
}
