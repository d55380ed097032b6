// A page in the place of a chat: a title, a way back, and what it holds.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { strings } from '../i18n/en';
import { BackIcon } from './icons';

export function Page({ title, children }: { title: string; children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <section class="page" aria-label={title}>
      <header class="head">
        <a class="icon-button head-back head-back-always" href="#/" aria-label={strings.back} title={strings.back}><BackIcon /></a>
        <h2 ref={heading} tabIndex={-1}>{title}</h2>
      </header>
      <div class="page-body">{children}</div>
    </section>
  );
}

/** A part of a page. */
export function Card({ title, hint, children, danger = false }: { title: string; hint?: string; children: ComponentChildren; danger?: boolean }) {
  return (
    <section class={danger ? 'card card-danger' : 'card'} aria-label={title}>
      <h3>{title}</h3>
      {hint && <p class="hint">{hint}</p>}
      {children}
    </section>
  );
}
