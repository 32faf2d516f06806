/**
 * Making and keeping elements. Text goes in as text only: nothing here, and nothing that uses it, reads markup out of data.
 *
 * Called by every part of the page that draws.
 */
export type Child = Node | string | undefined | false;

export type AttributeValue = string | number | boolean | undefined;

export interface Attributes {
  readonly class?: string | undefined;
  readonly on?: { readonly [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
  readonly [name: string]: unknown;
}

/** `el('p', { class: 'note', title: 'x', on: { click } }, 'text', child)`. Attributes that are undefined or false are left out; true is an empty one. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { on = {}, ...rest } = attributes;
  for (const [name, value] of Object.entries(rest)) setAttribute(element, name, value as AttributeValue);
  for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener as EventListener);
  for (const child of children) if (child !== undefined && child !== false) element.append(child);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, AttributeValue>> = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  for (const child of children) if (child !== undefined && child !== false) element.append(child);
  return element;
}

/** Touches the page only where it differs: what is selected, focused or read aloud stays so. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: AttributeValue): void {
  if (value === undefined || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** A custom property of CSS, such as the width of a bar: scripts may set it where the policy forbids style attributes. */
export function setProperty(element: HTMLElement | SVGElement, name: string, value: string): void {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

export interface Kept<T> {
  readonly element: HTMLElement;
  readonly update: (item: T) => void;
}

/** Keeps one element for each item under `parent`, in the order of the items; an element lives as long as its key does. */
export class KeptList<T> {
  readonly #parent: HTMLElement;
  readonly #keyOf: (item: T) => string | number;
  readonly #make: (item: T) => Kept<T>;
  #kept: Map<string | number, Kept<T>> = new Map();

  constructor(parent: HTMLElement, keyOf: (item: T) => string | number, make: (item: T) => Kept<T>) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  update(items: readonly T[]): void {
    const next = new Map<string | number, Kept<T>>();
    for (const item of items) {
      const key = this.#keyOf(item);
      const kept = this.#kept.get(key) ?? this.#make(item);
      kept.update(item);
      next.set(key, kept);
    }
    for (const [key, { element }] of this.#kept) if (!next.has(key)) element.remove();
    let at = this.#parent.firstElementChild;
    for (const { element } of next.values()) {
      if (element === at) at = at.nextElementSibling;
      else this.#parent.insertBefore(element, at);
    }
    this.#kept = next;
  }

  elementOf(key: string | number): HTMLElement | undefined {
    return this.#kept.get(key)?.element;
  }
}
