// Light or dark: as the system says, until the user says otherwise. The choice is no secret: it is in localStorage.
import { signal } from '@preact/signals';

const KEY = 'sentinel-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

function chosen(): 'light' | 'dark' | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;
  }
}

export const dark = signal(chosen() ? chosen() === 'dark' : system.matches);

function show(): void {
  document.documentElement.dataset.theme = dark.value ? 'dark' : 'light';
}

export function setDark(on: boolean): void {
  dark.value = on;
  try {
    if (on === system.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, on ? 'dark' : 'light');
  } catch {
    // Then it holds until the page is closed.
  }
  show();
}

export function startTheme(): void {
  show();
  system.addEventListener('change', (event) => {
    if (chosen()) return;
    dark.value = event.matches;
    show();
  });
}
