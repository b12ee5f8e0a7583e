// Actions: each opens a dialog to confirm, and shows progress and result. Requests carry the CSRF token.
"use strict";

const dialog = document.getElementById("ask");
const part = (name) => document.getElementById(`ask-${name}`);
const csrf = document.querySelector("meta[name=csrf]").content;

async function call(url, body, method = "POST") {
  const headers = { "X-CSRF-Token": csrf, "Content-Type": "application/json" };
  try {
    const answer = await fetch(url, { method, headers, body: body ? JSON.stringify(body) : undefined });
    return { ok: answer.ok, status: answer.status, body: await answer.json() };
  } catch {
    return { ok: false, status: 0, body: { detail: "The service did not respond." } };
  }
}

function why(answer) {
  const errors = (answer.body.errors ?? []).map((error) => `${error.pointer.slice(1)}: ${error.detail}`);
  return [answer.body.detail ?? "The request failed.", ...errors].join(" ");
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function say(text, state) {
  part("said").textContent = text;
  part("said").className = state ? `note ${state}` : "";
}

// Opens the dialog. The button calls `act` with the form's values; `act` returns the next step, or nothing when done.
function ask({ title, text, button, fields = [], act }) {
  part("title").textContent = title;
  part("text").textContent = text;
  part("yes").textContent = button;
  part("yes").hidden = false;
  part("yes").disabled = false;
  part("no").textContent = "Cancel";
  part("fields").replaceChildren(...fields.map(([name, label, attributes]) => {
    const line = element("label", `${label} `);
    line.append(element("input", "", { name, required: "", ...attributes }));
    return line;
  }));
  part("found").replaceChildren();
  say("", "");
  part("form").onsubmit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(part("form")));
    part("yes").disabled = true;
    const next = await act(values);
    refresh();
    if (next) {
      part("yes").textContent = next.button;
      part("yes").disabled = false;
      act = next.act;
    } else {
      part("yes").hidden = true;
      part("no").textContent = "Close";
      part("no").focus();
    }
  };
  dialog.showModal();
  (fields.length ? part("fields").querySelector("input") : part("no")).focus();
}

part("no").addEventListener("click", () => dialog.close());

function stop(id, name) {
  ask({
    title: `Stop ${name}?`,
    text: "The broadcast ends for buyers. The recording is kept as requested. A stopped relay cannot be resumed.",
    button: "Stop",
    act: async () => {
      say("Stopping…", "");
      const answer = await call(`/admin/relays/${id}/stop`);
      if (answer.ok) say(answer.status === 202 ? `${name} is stopping.` : `${name} was not running.`, "good");
      else say(why(answer), "bad");
    },
  });
}

function redeliver(id, name) {
  ask({
    title: `Redeliver ${name}?`,
    text: "Sends the same message with the same id again, in the order of its channel.",
    button: "Redeliver",
    act: async () => {
      say("Queueing…", "");
      const answer = await call(`/v1/webhooks/deliveries/${id}/redeliver`);
      if (answer.ok) say(`${name} is queued.`, "good");
      else say(why(answer), "bad");
    },
  });
}

function giveUp(channel, platform) {
  ask({
    title: `Give up the ingest of channel ${channel}?`,
    text: `It is removed at ${platform}, and its URL plays nothing any more: the channel's next show has another. Recordings stay.`,
    button: "Give up",
    act: async () => {
      say("Giving up…", "");
      const answer = await call(`/v1/channels/${channel}/ingest?platform=${encodeURIComponent(platform)}`, undefined, "DELETE");
      if (answer.ok) say("It is being removed.", "good");
      else say(why(answer), "bad");
    },
  });
}

function start() {
  const act = async (values) => {
    say("Starting… waiting for Agora to accept the egress.", "");
    const { channel_id, channel_name, seller_uid } = values;
    const answer = await call(`/v1/channels/${Number(channel_id)}/start`, { channel_name, seller_uid: Number(seller_uid) });
    if (!answer.ok) {
      say(why(answer), "bad");
      return { button: "Try again", act };
    }
    const words = { 200: "was already running", 201: "is starting", 202: "is starting" };
    say(`${channel_name} ${words[answer.status] ?? "started"}.`, "good");
    part("found").replaceChildren(element("a", "Open the relay", { href: `/admin/relays/${answer.body.id}` }));
  };
  ask({
    title: "Start a channel",
    text: "Broadcasts the seller's Agora channel. Both vendors charge from the start.",
    button: "Start",
    fields: [
      ["channel_id", "Channel id", { type: "number", min: 1, max: 9007199254740991, step: 1 }],
      ["channel_name", "Agora channel name", { maxlength: 64, autocomplete: "off" }],
      ["seller_uid", "Seller's uid", { type: "number", min: 1, max: 2999999999, step: 1 }],
    ],
    act,
  });
}

function findings(sweep) {
  const table = document.createElement("table");
  table.append(element("caption", `${sweep.findings.length} tagged objects at the vendors`));
  const head = table.createTHead().insertRow();
  for (const name of ["Object", "Verdict", "Tag"]) head.append(element("th", name, { scope: "col" }));
  const body = table.createTBody();
  const first = { orphan: 0, removed: 1 };
  const rank = (finding) => first[finding.verdict] ?? 2;
  for (const finding of [...sweep.findings].sort((a, b) => rank(a) - rank(b)).slice(0, 100)) {
    const row = body.insertRow();
    for (const text of [finding.kind.replaceAll("_", " "), finding.verdict, finding.mark]) row.insertCell().textContent = text;
  }
  const scroll = element("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Findings" });
  scroll.append(table);
  return scroll;
}

function sweep() {
  const remove = async () => {
    say("Removing…", "");
    const answer = await call("/admin/sweep");
    if (!answer.ok) { say(why(answer), "bad"); return; }
    const removed = answer.body.findings.filter((finding) => finding.verdict === "removed").length;
    say(`Removed ${removed}.`, "good");
    part("found").replaceChildren(findings(answer.body));
  };
  const act = async () => {
    say("Listing objects at both vendors…", "");
    const answer = await call("/admin/sweep?dry_run=true");
    if (!answer.ok) { say(why(answer), "bad"); return undefined; }
    const orphans = answer.body.findings.filter((finding) => finding.verdict === "orphan").length;
    part("found").replaceChildren(findings(answer.body));
    if (orphans === 0) { say("No orphans: nothing to remove.", "good"); return undefined; }
    say(`${orphans} orphans would be removed.`, "unsure");
    return { button: `Remove ${orphans}`, act: remove };
  };
  ask({
    title: "Sweep",
    text: "Lists objects at the vendors with our tag. Nothing is removed before you confirm.",
    button: "List",
    act,
  });
}

function play(player) {
  const said = player.querySelector("[role=status]");
  const embed = () => {
    if (!player.dataset.player) { said.textContent = "This browser cannot play the stream."; return; }
    player.replaceChildren(element("iframe", "", { src: player.dataset.player, title: "The platform's player", allow: "autoplay; fullscreen", allowfullscreen: "" }));
  };
  const video = document.createElement("video");
  if (!video.canPlayType("application/vnd.apple.mpegurl")) { embed(); return; }
  for (const name of ["controls", "muted", "autoplay", "playsinline"]) video.setAttribute(name, "");
  video.muted = true;
  // Some players fail while the manifest is short: retry.
  let tries = 0;
  video.addEventListener("error", () => {
    tries += 1;
    if (tries > 4) { embed(); return; }
    setTimeout(() => { video.src = player.dataset.hls; video.play().catch(() => {}); }, 2000);
  });
  video.addEventListener("playing", () => { said.textContent = ""; });
  video.src = player.dataset.hls;
  player.querySelector("[data-play]").replaceWith(video);
  said.textContent = "Loading…";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.stop) stop(button.dataset.stop, button.dataset.name);
  if (button.dataset.giveUp) giveUp(button.dataset.giveUp, button.dataset.platform);
  if (button.dataset.redeliver) redeliver(button.dataset.redeliver, button.dataset.name);
  if ("start" in button.dataset) start();
  if ("sweep" in button.dataset) sweep();
  if ("play" in button.dataset) play(document.getElementById("player"));
});
