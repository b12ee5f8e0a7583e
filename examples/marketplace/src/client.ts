// A client generated from docs/openapi.json: the compiler checks paths, bodies and answers.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

export type Relay = components["schemas"]["Relay"];
export type Problem = components["schemas"]["Problem"];

export const relaykeeper = (baseUrl: string, token: string) =>
  createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
