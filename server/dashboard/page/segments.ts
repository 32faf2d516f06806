/** A choice of one among a few, as buttons side by side. Tab reaches each; the chosen one says so. */
import { el, setAttribute } from './dom.ts';

export class Segments {
  readonly #buttons: readonly HTMLButtonElement[];
  #chosen = 0;

  constructor(parent: HTMLElement, names: readonly string[], onChoose: (index: number) => void) {
    this.#buttons = names.map((name, index) => el('button', { type: 'button', on: { click: () => this.#choose(index, onChoose) } }, name));
    parent.append(...this.#buttons);
    this.#show();
  }

  get chosen(): number {
    return this.#chosen;
  }

  #choose(index: number, onChoose: (index: number) => void): void {
    this.#chosen = index;
    this.#show();
    onChoose(index);
  }

  #show(): void {
    for (const [index, button] of this.#buttons.entries()) setAttribute(button, 'aria-pressed', String(index === this.#chosen));
  }
}
