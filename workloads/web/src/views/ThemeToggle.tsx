// Switches between light and dark.
import { strings } from '../i18n/en';
import { dark, setDark } from '../session/theme';
import { MoonIcon, SunIcon } from './icons';

export function ThemeToggle() {
  return (
    <button type="button" class="icon-button" aria-pressed={dark.value} aria-label={strings.darkMode} title={dark.value ? strings.toLight : strings.darkMode} onClick={() => setDark(!dark.value)}>
      {dark.value ? <SunIcon /> : <MoonIcon />}
    </button>
  );
}
