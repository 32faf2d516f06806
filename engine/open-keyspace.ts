/** A keyspace as the read and write paths need it: its place among the internal keys and what its settings come to. */
import type { SparrowError } from '../base/errors.ts';
import { prefixBytesOf } from './keyspace-key.ts';
import type { StoredSettings } from './keyspace-settings.ts';
import type { EngineSettings } from './settings.ts';

export class OpenKeyspace {
  readonly id: number;
  /** Of an internal key: the bytes in front of the caller's. */
  readonly prefixBytes: number;
  /** A value of at least so many bytes is stored by pointer. */
  inlineThreshold!: number;
  /** How long a value is there when the write does not say; 0: for good. */
  ttlMs!: number;
  /** Why it cannot be used any more. */
  #refusal: (() => SparrowError) | undefined;
  /** Of calls that began before it was closed. */
  #answerRefusal: (() => SparrowError) | undefined;

  constructor(id: number, settings: StoredSettings, engine: Readonly<EngineSettings>) {
    this.id = id;
    this.prefixBytes = prefixBytesOf(id);
    this.alter(settings, engine);
  }

  /** Takes settings, for what is written from now on. The engine's hold where none is given. */
  alter(settings: StoredSettings, engine: Readonly<EngineSettings>): void {
    this.inlineThreshold = settings['inlineThreshold'] ?? engine.inlineThreshold;
    this.ttlMs = settings['ttlMs'] ?? 0;
  }

  /** Every later use is refused. Reads under way are answered: who closes waits for them. */
  close(refusal: () => SparrowError): void {
    this.#refusal ??= refusal;
  }

  /** Every later use is refused, and reads under way: what they would find is going. */
  drop(refusal: () => SparrowError): void {
    this.#refusal ??= refusal;
    this.#answerRefusal = refusal;
  }

  assertOpen(): void {
    if (this.#refusal !== undefined) throw this.#refusal();
  }

  /** For a read that began when it was open. */
  assertAnswers(): void {
    if (this.#answerRefusal !== undefined) throw this.#answerRefusal();
  }
}
