// The sandbox's address and secrets, from the environment.
function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: scripts/contract starts a sandbox and sets it`);
  return value;
}

export const ADDRESS = setting("RELAYKEEPER_URL");
export const API_TOKEN = setting("RELAYKEEPER_TOKEN");
export const RECEIVER_PORT = Number(setting("RELAYKEEPER_RECEIVER_PORT"));
export const WEBHOOK_SECRET = setting("RELAYKEEPER_WEBHOOK_SECRET");
