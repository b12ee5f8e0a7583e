// A marketplace in small: receives relaykeeper's webhooks, and shows buyers what they tell.
import { receiver } from "./receiver.js";
import { watchServer } from "./watch.js";

const { RELAYKEEPER_WEBHOOK_SECRET, RECEIVER_PORT = "8090", WATCH_PORT = "8091", PLATFORMS = "http://127.0.0.1:*" } = process.env;
if (!RELAYKEEPER_WEBHOOK_SECRET) throw new Error("RELAYKEEPER_WEBHOOK_SECRET is not set");
const { server, take } = watchServer(PLATFORMS);
receiver(RELAYKEEPER_WEBHOOK_SECRET, take).listen(Number(RECEIVER_PORT), "127.0.0.1");
server.listen(Number(WATCH_PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${WATCH_PORT}/watch/42`));
