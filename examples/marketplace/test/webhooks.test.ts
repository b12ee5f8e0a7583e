// A Standard Webhooks verifier, in a receiver that fails twice.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { relaykeeper } from "../src/client.js";
import { receiver, type Message } from "../src/receiver.js";
import { watchServer, type Show } from "../src/watch.js";
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

test("the buyers' page is told of each change of the newest show, and of nothing else", async () => {
  const path = { channel_id: 5252 };
  const { server, take } = watchServer("http://127.0.0.1:*");
  const webhooks = receiver(WEBHOOK_SECRET, take);
  webhooks.listen(RECEIVER_PORT, "127.0.0.1");
  server.listen(0, "127.0.0.1");
  await Promise.all([once(webhooks, "listening"), once(server, "listening")]);
  try {
    const address = server.address();
    assert(address && typeof address === "object");
    const page = `http://127.0.0.1:${address.port}/watch/${path.channel_id}`;
    for (const [url, shown] of [[page, "<video"], [`${page}/../watch.js`, "EventSource"], [`${page}/../hls.light.min.js`, ""]] as const) {
      assert((await (await fetch(url)).text()).includes(shown), url);
    }
    for (const url of [`${page}/../../package.json`, `${page}/../hls.js.LICENSE.txt`]) assert.equal((await fetch(url)).status, 404, url);

    const events = await fetch(`${page}/state`);
    assert(events.body);
    const started = await client.POST("/v1/channels/{channel_id}/start", { params: { path }, body: { channel_name: "watched", seller_uid: 12345 } });
    assert.equal(started.response.status, 201, JSON.stringify(started.error));
    const shows: Show[] = [];
    let text = "";
    for await (const piece of events.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      shows.push(...frames.map((frame) => JSON.parse(frame.slice("data: ".length))));
      const phase = shows.at(-1)?.phase;
      if (phase === "ended") break;
      if (phase === "live") await client.POST("/v1/channels/{channel_id}/stop", { params: { path } });
    }
    assert.deepEqual(shows[0], { title: null, phase: null, hls_url: null, recording_url: null });
    const live = shows.find((show) => show.phase === "live");
    assert.deepEqual(live, { title: "watched", phase: "live", hls_url: started.data?.hls_playback_url, recording_url: null });
    assert(shows.at(-1)?.recording_url);
  } finally {
    webhooks.close();
    server.closeAllConnections();
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
