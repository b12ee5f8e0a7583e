// relaykeeper's tRPC queries, typed: `relaykeeper(url, token).streaming.getStreamStatus.query({ channelId: 42 })`.
import { createTRPCClient, httpBatchStreamLink } from "@trpc/client";
import type { TRPCBuiltRouter, TRPCDefaultErrorShape, TRPCQueryProcedure } from "@trpc/server";

type Query<Input, Output> = TRPCQueryProcedure<{ meta: unknown; input: Input; output: Output }>;
type Channel = { channelId: number };
type Status = { isLive: boolean; hlsUrl: string | null; durationSeconds: number; recordingAvailable: boolean };
type Root = { ctx: object; meta: object; errorShape: TRPCDefaultErrorShape; transformer: false };
export type RelaykeeperRouter = TRPCBuiltRouter<Root, {
  streaming: {
    getPlaybackUrl: Query<Channel, { hlsUrl: string }>;
    getStreamStatus: Query<Channel, Status>;
    healthCheck: Query<void, { healthy: boolean }>;
  };
}>;

export const relaykeeper = (url: string, token: string) =>
  createTRPCClient<RelaykeeperRouter>({
    links: [httpBatchStreamLink({ url: `${url}/trpc`, headers: { authorization: `Bearer ${token}` } })],
  });
