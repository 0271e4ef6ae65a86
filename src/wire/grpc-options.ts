import { type ChannelOptions, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

// What grpc-js would print to standard error reaches us as errors of calls and binds, too.
setLogVerbosity(logVerbosity.NONE);

/** Largest gRPC message that any of our servers and clients accepts; each service has narrower limits of its own. */
export const MESSAGE_BYTES_MAX = 32 * 2 ** 20;

/** Options of every client: one connection of its own, names resolved at each dial, nothing buffered for retries. */
export const CLIENT_OPTIONS: ChannelOptions = Object.freeze({
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.dns_min_time_between_resolutions_ms': 100,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 200,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc-node.flow_control_window': 4 * 2 ** 20,
});

/** A peer that does not answer a ping for two seconds is taken for gone; its connection breaks. */
export const KEEPALIVE_OPTIONS: ChannelOptions = Object.freeze({
  'grpc.keepalive_time_ms': 1000,
  'grpc.keepalive_timeout_ms': 2000,
});

/** For connections that nobody may use for a long time: who holds them learns in time that the peer is gone. */
export const IDLE_KEEPALIVE_OPTIONS: ChannelOptions = Object.freeze({
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
});

/**
 * Options of every server. A client that does not answer a ping for five seconds loses its streams. Channelz stays on:
 * without it `forceShutdown` of grpc-js 1.14 forgets the open connections and leaves them standing.
 */
export const SERVER_OPTIONS: ChannelOptions = Object.freeze({
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc-node.flow_control_window': 4 * 2 ** 20,
});

/** A serializer for messages that are bytes already. */
export function sameBytes(bytes: Buffer): Buffer {
  return bytes;
}
