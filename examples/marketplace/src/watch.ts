// Serves the buyers' page (`watch/`) at `/watch/<channel>`, and tells it of the channel's newest show. `take` is for the receiver of webhooks.
import { readFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { Relay } from "./client.js";
import type { Message } from "./receiver.js";

/** What a browser is told: no ids, no costs, no token. */
export type Show = { title: string | null; phase: Relay["phase"] | null; hls_url: string | null; recording_url: string | null };
type Channel = { relay: string; show: Show; buyers: Set<ServerResponse> };

const FILES = new URL("../../watch/", import.meta.url);
const TYPES: Record<string, string> = { "index.html": "text/html", "watch.css": "text/css", "watch.js": "text/javascript", "hls.light.min.js": "text/javascript" };

/** `platforms`: the origins that serve HLS, for the Content-Security-Policy. */
export function watchServer(platforms: string): { server: Server; take: (message: Message) => void } {
  const policy = `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ${platforms}; media-src blob: ${platforms}; worker-src blob:; `
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  // A marketplace keeps this in its database.
  const channels = new Map<number, Channel>();
  const channelOf = (id: number): Channel => {
    const known = channels.get(id) ?? { relay: "", show: { title: null, phase: null, hls_url: null, recording_url: null }, buyers: new Set() };
    channels.set(id, known);
    return known;
  };
  const event = (show: Show) => `data: ${JSON.stringify(show)}\n\n`;

  function take({ data: { relay } }: Message): void {
    const channel = channelOf(relay.channel_id);
    // Ids are in the order of time: a late message of an earlier relay does not hide the newest one.
    if (relay.id < channel.relay) return;
    channel.relay = relay.id;
    // `ll_hls_url` of the channel's playback.
    const query = relay.latency === "low" && relay.platform === "cloudflare" ? "?protocol=llhls" : "";
    const hls_url = relay.hls_playback_url ? relay.hls_playback_url + query : null;
    channel.show = { title: relay.channel_name, phase: relay.phase, hls_url, recording_url: relay.recording_url ?? null };
    for (const buyer of channel.buyers) buyer.write(event(channel.show));
  }

  const server = createServer(async (request, response) => {
    const [, id, state, file] = /^\/watch\/(?:(\d{1,15})(\/state)?|([\w.]+))$/.exec(request.url ?? "") ?? [];
    if (id && state) {
      const { show, buyers } = channelOf(Number(id));
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write(event(show));
      buyers.add(response);
      request.on("close", () => buyers.delete(response));
      return;
    }
    const name = id ? "index.html" : file ?? "";
    const type = TYPES[name];
    if (!type) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": `${type}; charset=utf-8`, "content-security-policy": policy, "cache-control": "no-store" });
    response.end(await readFile(new URL(name, FILES)));
  });
  return { server, take };
}
