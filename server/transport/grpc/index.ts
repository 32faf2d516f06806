/** The gRPC implementation. grpc-transport.ts is the place to start. */
export { GrpcTransport, type TransportStats } from './grpc-transport.ts';
export { DEFAULT_TRANSPORT_SETTINGS, type TransportParts, type TransportSettings } from './transport-options.ts';
