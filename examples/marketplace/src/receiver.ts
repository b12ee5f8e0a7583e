// Receives relaykeeper's webhooks; rejects those that are not signed with the secret.
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import type { Relay } from "./client.js";

export type Message = { type: string; timestamp: string; data: { sequence: number; relay: Relay } };

/** Calls `take` with each message and its id; when it throws, relaykeeper sends the message again later. */
export function receiver(secret: string, take: (message: Message, id: string) => void | Promise<void>): Server {
  const webhook = new Webhook(secret);
  return createServer(async (request, response) => {
    const body = await text(request);
    const header = (name: string) => String(request.headers[name] ?? "");
    const id = header("webhook-id");
    const headers = { "webhook-id": id, "webhook-timestamp": header("webhook-timestamp"), "webhook-signature": header("webhook-signature") };
    let message: Message;
    try {
      message = webhook.verify(body, headers) as Message;
    } catch {
      response.writeHead(401).end();
      return;
    }
    try {
      await take(message, id);
      response.writeHead(204).end();
    } catch {
      response.writeHead(500).end();
    }
  });
}
