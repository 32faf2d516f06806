/** The .proto files in compiled form, one FileDescriptorProto each: what a reflection service hands out. */
import { DESCRIPTORS } from './gen/descriptors.ts';
import { WireReader } from './wire.ts';

const FILE_TAG = 0x0a;

export function fileDescriptors(): Buffer[] {
  const files: Buffer[] = [];
  const reader = new WireReader(Buffer.from(DESCRIPTORS, 'base64'));
  while (reader.more) {
    const tag = reader.varint();
    if (tag === FILE_TAG) files.push(reader.bytes());
    else reader.skip(tag);
  }
  return files;
}
