// @trpc/client with each of its links, against a running sandbox.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createTRPCClient, httpBatchLink, httpBatchStreamLink, httpLink, TRPCClientError } from "@trpc/client";
import type { TRPCLink } from "@trpc/client";
import type { RelaykeeperRouter } from "../src/trpc.js";
import { ADDRESS, API_TOKEN } from "./sandbox.js";

const url = `${ADDRESS}/trpc`;
const links: Record<string, (token: string) => TRPCLink<RelaykeeperRouter>> = {
  httpLink: (token) => httpLink({ url, headers: { authorization: `Bearer ${token}` } }),
  httpBatchLink: (token) => httpBatchLink({ url, headers: { authorization: `Bearer ${token}` } }),
  httpBatchStreamLink: (token) => httpBatchStreamLink({ url, headers: { authorization: `Bearer ${token}` } }),
};

for (const [name, link] of Object.entries(links)) {
  const client = (token: string) => createTRPCClient<RelaykeeperRouter>({ links: [link(token)] });

  test(`${name}: each query of a batch is answered`, async () => {
    const { streaming } = client(API_TOKEN);
    const [health, status, url] = await Promise.allSettled([
      streaming.healthCheck.query(),
      streaming.getStreamStatus.query({ channelId: 987654321 }),
      streaming.getPlaybackUrl.query({ channelId: 987654321 }),
    ]);
    assert.deepEqual(health, { status: "fulfilled", value: { healthy: true } });
    const nothing = { isLive: false, hlsUrl: null, durationSeconds: 0, recordingAvailable: false };
    assert.deepEqual(status, { status: "fulfilled", value: nothing });
    const failed = refusal(url);
    assert.equal(failed.data?.code, "NOT_FOUND");
    assert.equal(failed.data?.path, "streaming.getPlaybackUrl");
  });

  test(`${name}: an invalid input is reported with its path`, async () => {
    const asked = client(API_TOKEN).streaming.getStreamStatus.query({ channelId: 0 });
    const [status] = await Promise.allSettled([asked]);
    const failed = refusal(status);
    assert.equal(failed.data?.httpStatus, 400);
    assert.deepEqual(JSON.parse(failed.message)[0].path, ["channelId"]);
  });

  test(`${name}: a wrong token is UNAUTHORIZED for each call`, async () => {
    const { streaming } = client("wrong");
    const all = await Promise.allSettled([streaming.healthCheck.query(), streaming.healthCheck.query()]);
    assert.deepEqual(all.map((one) => refusal(one).data?.code), ["UNAUTHORIZED", "UNAUTHORIZED"]);
  });
}

function refusal(outcome: PromiseSettledResult<unknown>): TRPCClientError<RelaykeeperRouter> {
  assert(outcome.status === "rejected");
  assert(outcome.reason instanceof TRPCClientError, String(outcome.reason));
  return outcome.reason;
}
