/** The engines that take part, in the order in which they run. An adapter is loaded only when it is chosen. */
import type { Adapter, Variant } from './store.ts';

const ADAPTERS: Record<string, () => Promise<{ adapter: Adapter }>> = {
  sparrowkv: () => import('./peers/sparrowkv.ts'),
  classic: () => import('./peers/classic.ts'),
  lmdb: () => import('./peers/lmdb.ts'),
  rocksdb: () => import('./peers/rocksdb.ts'),
  sqlite: () => import('./peers/sqlite.ts'),
};

export const OURS = 'sparrowkv';
export const FAMILIES: readonly string[] = Object.keys(ADAPTERS);

export async function adapterOf(family: string): Promise<Adapter> {
  const load = ADAPTERS[family];
  if (!load) throw new Error(`no engine '${family}'; there are: ${FAMILIES.join(', ')}`);
  return (await load()).adapter;
}

/** Variants chosen by `names`: a family's name means all of its variants, `family:variant` just that one. */
export async function chooseVariants(names: readonly string[]): Promise<Variant[]> {
  const chosen: Variant[] = [];
  for (const name of names) {
    const { variants } = await adapterOf(name.split(':')[0]!);
    const found = variants.filter((variant) => variant.name === name || variant.family === name);
    if (found.length === 0) throw new Error(`no engine '${name}'; there are: ${variants.map((variant) => variant.name).join(', ')}`);
    chosen.push(...found);
  }
  return chosen;
}
