// Mux's official SDK works with the simulated Mux, and its types accept the answers and the events.
//
// Environment: MUX_BASE_URL, MUX_TOKEN_ID, MUX_TOKEN_SECRET, and MUX_ACTIVE_STREAM: the id of a live stream with a broadcast.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import Mux from "@mux/mux-node";

const mux = new Mux({ maxRetries: 0 });
const { liveStreams, assets, playbackIds } = mux.video;

// What the compiler holds against the SDK's types.
const seen = [];
const typed = (type, value) => {
  seen.push([type, value]);
  return value;
};
const until = async (what, get) => {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await get();
    if (found) return found;
    assert(Date.now() < deadline, `never ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
};

const events = [];
const receiver = createServer((request, answer) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    events.push({ body, headers: request.headers });
    answer.end();
  });
});
await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));

const who = await mux.system.utilities.whoami();
typed("Mux.System.UtilityWhoamiResponse", who);
const hook = await mux.post("/system/v1/webhooks", {
  body: { address: `http://127.0.0.1:${receiver.address().port}/` },
});
const secret = hook.data.signing_secret;
assert(secret);

const created = await liveStreams.create({
  playback_policies: ["public"],
  new_asset_settings: { playback_policies: ["public"], passthrough: "mark" },
  passthrough: "mark",
  latency_mode: "standard",
  reconnect_window: 120,
});
typed("Mux.Video.LiveStream", created);
assert.equal(created.status, "idle");
assert.equal(created.reconnect_window, 120);
assert.equal((await playbackIds.retrieve(created.playback_ids[0].id)).object.id, created.id);

for (let number = 0; number < 30; number++) await liveStreams.create({ passthrough: `p${number}` });
const listed = [];
for await (const stream of liveStreams.list({ limit: 10 })) listed.push(stream);
assert.equal(listed.length, 32);
assert.equal(new Set(listed.map((stream) => stream.id)).size, 32);
assert.equal(listed[0].passthrough, "p29", "newest first");
const byKey = await liveStreams.list({ stream_key: created.stream_key });
assert.deepEqual(byKey.data.map((stream) => stream.id), [created.id]);

const renewed = await liveStreams.resetStreamKey(created.id);
typed("Mux.Video.LiveStream", renewed);
assert.notEqual(renewed.stream_key, created.stream_key);
const updated = await liveStreams.update(created.id, { passthrough: "other", reconnect_window: 0 });
assert.equal(updated.passthrough, "other");
await liveStreams.disable(created.id);
assert.equal((await liveStreams.retrieve(created.id)).status, "disabled");
await liveStreams.enable(created.id);
await liveStreams.delete(created.id);
await assert.rejects(liveStreams.retrieve(created.id), Mux.NotFoundError);
await assert.rejects(liveStreams.create({ reconnect_window: 1801 }), Mux.BadRequestError);
await assert.rejects(new Mux({ tokenSecret: "wrong", maxRetries: 0 }).video.liveStreams.list(), Mux.AuthenticationError);

const active = process.env.MUX_ACTIVE_STREAM;
const live = await until("with an asset", async () => {
  const stream = await liveStreams.retrieve(active);
  return stream.active_asset_id && stream;
});
typed("Mux.Video.LiveStream", live);
assert.equal(live.status, "active");
const running = await assets.retrieve(live.active_asset_id);
typed("Mux.Video.Asset", running);
assert.deepEqual([running.status, running.is_live], ["ready", true]);
const ofStream = [];
for await (const asset of assets.list({ live_stream_id: active })) ofStream.push(asset);
assert.deepEqual(ofStream.map((asset) => asset.id), [running.id]);
await liveStreams.complete(active);
const complete = await until("complete", async () => {
  const asset = await assets.retrieve(running.id);
  return !asset.is_live && asset;
});
typed("Mux.Video.Asset", complete);
assert(complete.duration > 0);
await liveStreams.disable(active);
await assets.delete(complete.id);
await assert.rejects(assets.retrieve(complete.id), Mux.NotFoundError);

const wanted = ["created", "updated", "disabled", "enabled", "deleted", "idle"].map((word) => `video.live_stream.${word}`);
wanted.push("video.asset.live_stream_completed", "video.asset.deleted");
await until("with all events", () => wanted.every((type) => events.some(({ body }) => JSON.parse(body).type === type)));
for (const { body, headers } of events) {
  const event = await mux.webhooks.unwrap(body, headers, secret);
  typed("UnwrapWebhookEvent", event);
  await assert.rejects(mux.webhooks.unwrap(`${body} `, headers, secret));
  await assert.rejects(mux.webhooks.unwrap(body, headers, "another"));
}
receiver.close();

mkdirSync("build", { recursive: true });
const lines = seen.map(([type, value], number) => `export const answer${number}: ${type} = ${JSON.stringify(value, null, 2)};`);
writeFileSync("build/answers.ts", `import Mux from "@mux/mux-node";\nimport type { UnwrapWebhookEvent } from "@mux/mux-node/resources/webhooks/webhooks";\n${lines.join("\n")}\n`);
const compiler = "node_modules/typescript/bin/tsc";
const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "--types", "node", "build/answers.ts"];
try {
  execFileSync(process.execPath, [compiler, ...options], { stdio: "pipe" });
} catch (error) {
  assert.fail(`the SDK's types refuse an answer:\n${error.stdout}`);
}
console.log(`${seen.length} answers and events accepted`);
