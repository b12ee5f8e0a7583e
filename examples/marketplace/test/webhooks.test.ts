// A Standard Webhooks verifier, in a receiver that fails twice.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { relaykeeper } from "../src/client.js";
import { receiver, type Message } from "../src/receiver.js";
import { ADDRESS, API_TOKEN, RECEIVER_PORT, WEBHOOK_SECRET } from "./sandbox.js";

const client = relaykeeper(ADDRESS, API_TOKEN);
const path = { channel_id: 5151 };

test("a message that is answered 500 twice is sent again unchanged, and the others wait for it", async () => {
  const tries: { id: string; message: Message }[] = [];
  const taken: Message[] = [];
  const server = receiver(WEBHOOK_SECRET, (message, id) => {
    if (message.data.relay.channel_id !== path.channel_id) return;
    tries.push({ id, message });
    if (tries.length <= 2) throw new Error("not now");
    taken.push(message);
  });
  server.listen(RECEIVER_PORT, "127.0.0.1");
  await once(server, "listening");
  try {
    const seen = async (type: string) => {
      for (const deadline = Date.now() + 60_000; Date.now() < deadline; await wait(100)) {
        if (taken.some((message) => message.type === type)) return;
      }
      assert.fail(`${type} never came: ${JSON.stringify(taken.map((message) => message.type))}`);
    };
    const body = { channel_name: "receiver", seller_uid: 12345 };
    const started = await client.POST("/v1/channels/{channel_id}/start", { params: { path }, body });
    assert.equal(started.response.status, 201, JSON.stringify(started.error));
    await seen("relay.live");
    await client.POST("/v1/channels/{channel_id}/stop", { params: { path } });
    await seen("relay.ended");

    const [first, second, third] = tries;
    assert(first && second && third);
    assert.deepEqual([second, third], [first, first]);
    const types = ["relay.starting", "relay.live", "relay.stopped", "recording.ready", "relay.ended"];
    assert.deepEqual(taken.map((message) => message.type), types);
    assert.deepEqual(taken.map((message) => message.data.sequence), [1, 2, 3, 4, 5]);
    assert(taken.every((message) => message.data.relay.id === started.data?.id));
    assert(taken.at(-1)?.data.relay.cost);
  } finally {
    server.close();
  }
});

test("an invalid signature is rejected", async () => {
  const server = receiver(WEBHOOK_SECRET, () => assert.fail("it was taken"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const address = server.address();
    assert(address && typeof address === "object");
    const headers = { "webhook-id": "1", "webhook-timestamp": String(Math.floor(Date.now() / 1000)), "webhook-signature": "v1,AAAA" };
    const answer = await fetch(`http://127.0.0.1:${address.port}/`, { method: "POST", headers, body: "{}" });
    assert.equal(answer.status, 401);
  } finally {
    server.close();
  }
});
