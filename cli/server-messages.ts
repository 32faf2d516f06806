/** What a server that was started with a channel says to its parent: one of these, once. */
import type { ErrorDetails, ErrorKind } from '../base/errors.ts';

export type ServerMessage =
  /** `metricsAddress`: where the dashboard is, too; undefined: nowhere. */
  | { type: 'ready'; address: string; metricsAddress: string | undefined }
  | { type: 'failed'; kind: ErrorKind; code: string; message: string; details: ErrorDetails };
