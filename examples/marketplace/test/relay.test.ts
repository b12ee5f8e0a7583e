// A show from start to end with the generated client.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { relaykeeper, type Relay } from "../src/client.js";
import { ADDRESS, API_TOKEN } from "./sandbox.js";

const client = relaykeeper(ADDRESS, API_TOKEN);
const path = { channel_id: 4242 };
const body = { channel_name: "marketplace", seller_uid: 12345 };

async function relayWhen(id: string, phase: Relay["phase"]): Promise<Relay> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await wait(100)) {
    const { data } = await client.GET("/v1/relays/{relay_id}", { params: { path: { relay_id: id } } });
    if (data?.phase === phase) return data;
  }
  throw new Error(`relay ${id} was never ${phase}`);
}

test("a channel is put on air, watched, taken down and accounted for", async () => {
  const header = { "Idempotency-Key": randomUUID() };
  const start = () => client.POST("/v1/channels/{channel_id}/start", { params: { path, header }, body });
  const started = await start();
  assert.equal(started.response.status, 201, JSON.stringify(started.error));
  assert(started.data?.hls_playback_url);
  const repeated = await start();
  assert.equal(repeated.response.status, 200);
  assert.equal(repeated.data?.id, started.data.id);

  await relayWhen(started.data.id, "live");
  const playback = await client.GET("/v1/channels/{channel_id}/playback", { params: { path } });
  assert.equal(playback.data?.hls_url, started.data.hls_playback_url);
  assert.equal(playback.data?.is_live, true);

  const stopped = await client.POST("/v1/channels/{channel_id}/stop", { params: { path }, body: { relay_id: started.data.id } });
  assert.equal(stopped.response.status, 202);
  assert.equal(stopped.data?.outcome?.code, "stopped_by_request");
  const ended = await relayWhen(started.data.id, "ended");
  assert.equal(ended.recordings[0]?.state, "ready");
  assert(ended.cost && ended.cost.cost_cents >= 1);
});

test("a channel that keeps its ingest has one URL for every show, until it gives it up", async () => {
  const path = { channel_id: 4243 };
  const show = { ...body, ingest_owner: "channel" as const };
  const giveUp = () => client.DELETE("/v1/channels/{channel_id}/ingest", { params: { path } });
  const urls = new Set<string | null | undefined>();
  for (let shows = 0; shows < 2; shows++) {
    const { data, error } = await client.POST("/v1/channels/{channel_id}/start", { params: { path }, body: show });
    assert(data, JSON.stringify(error));
    urls.add((await relayWhen(data.id, "live")).hls_playback_url);
    const refused = await giveUp();
    assert.equal(refused.error?.code, "conflict");
    await client.POST("/v1/channels/{channel_id}/stop", { params: { path } });
  }
  const { data } = await client.GET("/v1/ingests");
  const kept = data?.ingests.find((ingest) => ingest.channel_id === path.channel_id);
  assert.deepEqual([...urls], [kept?.hls_playback_url]);
  let status = 409;
  for (const deadline = Date.now() + 60_000; status === 409 && Date.now() < deadline; await wait(100)) {
    status = (await giveUp()).response.status;
  }
  assert.equal(status, 202);
});

test("an invalid request is answered with a code and the place of the error", async () => {
  const refused = await client.POST("/v1/channels/{channel_id}/start", { params: { path }, body: { ...body, seller_uid: 0 } });
  assert.equal(refused.error?.code, "invalid-request");
  assert.deepEqual(refused.error?.errors?.map((one) => one.pointer), ["/seller_uid"]);
});
