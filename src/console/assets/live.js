// Refreshes the page: fetches it again and replaces every element with data-live. Events trigger a refresh; without the event
// stream the page polls every two seconds.
"use strict";

const QUICK = 2000;
const SLOW = 5000;
const HIDDEN = 30000;
const SETTLE = 700;

const freshness = document.getElementById("freshness");
let streaming = false;
let busy = false;
let again = false;
let timer = null;
let due = Infinity;

function lasting(seconds) {
  const two = (n) => String(n).padStart(2, "0");
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} m`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-since]")) {
    time.textContent = lasting(Math.max(0, Math.floor((now - time.dataset.since) / 1000)));
  }
  for (const time of document.querySelectorAll("time[data-until]")) {
    time.textContent = lasting(Math.max(0, Math.ceil((time.dataset.until - now) / 1000)));
  }
}

// Replaces the content. Keeps open details, focus, scroll positions, and running players.
function put(old, fresh) {
  if (old.innerHTML === fresh.innerHTML || old.querySelector("video, iframe")) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...old.querySelectorAll("details[open]")].map((details) => details.id);
  const scrolled = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
  old.replaceChildren(...fresh.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  old.querySelectorAll(".scroll").forEach((part, n) => { part.scrollLeft = scrolled[n] ?? 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) { location.assign(answer.url); return; }
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (fresh) put(old, fresh);
    }
    tick();
    freshness.textContent = streaming ? "live updates" : "updated every two seconds";
    freshness.className = "";
  } catch {
    freshness.textContent = "no connection: data may be stale";
    freshness.className = "state bad";
  } finally {
    busy = false;
    plan(again ? SETTLE : streaming ? SLOW : QUICK);
    again = false;
  }
}

function plan(wait) {
  clearTimeout(timer);
  const then = document.hidden ? HIDDEN : wait;
  due = Date.now() + then;
  timer = setTimeout(refresh, then);
}

// Groups events into one refresh, and never delays it.
function soon() {
  if (busy) again = true;
  else if (due > Date.now() + SETTLE) plan(SETTLE);
}

function listen() {
  const types = ["relay.starting", "relay.live", "relay.interrupted", "relay.resumed", "relay.stopped", "relay.failed",
    "relay.ended", "recording.ready", "recording.missing"];
  const stream = new EventSource("/v1/events");
  for (const type of types) stream.addEventListener(type, soon);
  stream.onmessage = soon;
  stream.onopen = () => { streaming = true; soon(); };
  stream.onerror = () => {
    streaming = false;
    plan(QUICK);
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, HIDDEN);
  };
}

if (document.querySelector("[data-live]")) {
  plan(QUICK);
  listen();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}

const filters = document.getElementById("filters");
if (filters) {
  let typing = null;
  const send = () => filters.requestSubmit();
  filters.addEventListener("change", (event) => { if (event.target.type !== "search") send(); });
  filters.addEventListener("input", (event) => {
    if (event.target.type !== "search") return;
    clearTimeout(typing);
    typing = setTimeout(send, 600);
  });
  const search = filters.elements.q;
  if (search.value) { search.focus(); search.setSelectionRange(search.value.length, search.value.length); }
}
