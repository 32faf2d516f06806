/** Light, dark, or as the system has it; remembered by the browser. The colours themselves are in style.css. */
import { setAttribute, setText } from './dom.ts';

const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];
const KEPT_AS = 'sparrowkv-theme';

export function keepTheme(button: HTMLElement): void {
  let theme = remembered();
  const show = (): void => {
    setAttribute(document.documentElement, 'data-theme', theme === 'system' ? undefined : theme);
    setAttribute(button, 'data-theme-is', theme);
    setText(button.querySelector('.words')!, `Theme: ${theme}`);
  };
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
    try {
      localStorage.setItem(KEPT_AS, theme);
    } catch {
      // A browser that keeps nothing: it holds for this page.
    }
    show();
  });
  show();
}

function remembered(): Theme {
  try {
    const kept = localStorage.getItem(KEPT_AS);
    return THEMES.find((theme) => theme === kept) ?? 'system';
  } catch {
    return 'system';
  }
}
