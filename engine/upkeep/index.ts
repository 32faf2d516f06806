/** Stores made of stores: checkpoints. */
export { makeCheckpoint } from './checkpoint.ts';
export { imageOfDirectory, imageOfEngine, type ImageFile, type StoreImage } from './store-image.ts';
