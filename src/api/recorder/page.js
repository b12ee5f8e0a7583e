// The recorder's page: joins the channel as audience, shows only the seller, signals the cloud browser when recording can
// start, and reports the seller's presence to relaykeeper.
"use strict";

(() => {
  const HEARTBEAT_MS = 30_000;
  const REQUEST_TIMEOUT_MS = 10_000;
  const MAX_WAIT_MS = 30_000;
  const SETTLE_MS = 3_000;
  // The Web SDK's calls have no timeout: without a network they neither resolve nor reject.
  const JOIN_TIMEOUT_MS = 20_000;
  const CALL_TIMEOUT_MS = 10_000;
  // Web SDK: the token is renewed this long before it expires, at the latest halfway through its life.
  const RENEW_BEFORE_S = 60;

  const query = location.search.replace(/^\?/, "");
  // relaykeeper's own value is the last of a repeated name.
  const param = (name) => new URLSearchParams(query).getAll(name).at(-1);
  const sellerUid = Number(param("seller_uid"));
  const readyAtFirstFrame = param("ready") === "frame";

  let client = null;
  let joined = null; // what the page joined with: { uid, … }
  let left = false;
  let readyTold = false;
  let renewal = 0;
  let seq = 0;

  // The call's result; rejects with TIMED_OUT after the limit.
  const TIMED_OUT = new Error("timed out");
  const within = (ms, call) => {
    let timer = 0;
    const limit = new Promise((_, fail) => { timer = setTimeout(() => fail(TIMED_OUT), ms); });
    return Promise.race([call, limit]).finally(() => clearTimeout(timer));
  };

  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const backoff = (failures) => Math.min(MAX_WAIT_MS, 1000 * 2 ** Math.min(failures, 5)) * (0.5 + Math.random() / 2);

  function tellReady() {
    if (readyTold) return;
    readyTold = true;
    if (typeof navigator.notifyReady === "function") navigator.notifyReady();
  }

  // Posts to a path beside this page. Null without a successful response.
  async function post(path, body) {
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const answer = await response.json().catch(() => ({}));
      if (answer?.leave === true) await leave();
      return response.ok ? answer : null;
    } catch {
      return null;
    }
  }

  // A token for a new uid, or a new one for this page's uid.
  const fetchToken = (uid) => post("recorder/token", uid === undefined ? { query } : { query, uid });

  async function leave() {
    if (left) return;
    left = true;
    clearTimeout(renewal);
    try {
      await within(CALL_TIMEOUT_MS, client?.leave());
    } catch {
      // It is left either way.
    }
    document.getElementById("seller").replaceChildren();
  }

  // --- presence -----------------------------------------------------------------------------------------------------

  const present = () => client.remoteUsers.some((user) => user.uid === sellerUid);
  // While disconnected the page does not know and reports nothing. Just after connecting the list of users may be
  // incomplete, so the page does not report an absence yet.
  const sees = () => client?.connectionState === "CONNECTED" && (present() || Date.now() - connectedAt >= SETTLE_MS);
  let connectedAt = 0;

  function connected() {
    connectedAt = Date.now();
    presenceChanged();
    setTimeout(presenceChanged, SETTLE_MS);
  }

  let wake = () => {};
  let changed = false;
  function presenceChanged() {
    changed = true;
    wake();
  }

  // Greater than all earlier numbers, also those before a reload of the page.
  const nextSeq = () => (seq = Math.max(seq + 1, Date.now()));
  // Reports to the operator why nothing is shown.
  const reportTrouble = (trouble) => post("recorder/presence", { query, cannot_join: trouble, seq: nextSeq() });

  // A single sender, so that reports are never concurrent. A retry reports the current state.
  async function reportPresence() {
    let failures = 0;
    while (!left) {
      if (!changed) {
        await Promise.race([sleep(failures ? backoff(failures) : HEARTBEAT_MS), new Promise((go) => { wake = go; })]);
      }
      changed = false;
      if (left || !sees()) continue;
      const answer = await post("recorder/presence", { query, present: present(), seq: nextSeq() });
      failures = answer ? 0 : failures + 1;
      if (failures && changed) await sleep(backoff(failures));
    }
  }

  // --- the seller's stream ------------------------------------------------------------------------------------------

  async function show(user, kind) {
    if (user.uid !== sellerUid) return;
    for (let failures = 0; !left && client.remoteUsers.includes(user); failures += 1) {
      if (kind === "video" ? !user.hasVideo : !user.hasAudio) return;
      try {
        const track = await within(CALL_TIMEOUT_MS, client.subscribe(user, kind));
        if (kind === "audio") {
          track.play();
          return;
        }
        track.on("first-frame-decoded", () => {
          if (readyAtFirstFrame) tellReady();
        });
        track.play("seller", { fit: "contain", mirror: false });
        return;
      } catch {
        await sleep(backoff(failures));
      }
    }
  }

  // --- the channel --------------------------------------------------------------------------------------------------

  function scheduleRenewal(expiresInSeconds) {
    clearTimeout(renewal);
    const seconds = Math.max(expiresInSeconds - RENEW_BEFORE_S, expiresInSeconds / 2);
    renewal = setTimeout(renew, seconds * 1000);
  }

  let renewing = false;
  async function renew() {
    if (renewing || left || !joined) return;
    renewing = true;
    const mine = joined;
    for (let failures = 0; !left && joined === mine; failures += 1) {
      const answer = await fetchToken(mine.uid);
      if (left || joined !== mine) break;
      if (answer?.uid === mine.uid) {
        try {
          if (answer.token) await within(CALL_TIMEOUT_MS, client.renewToken(answer.token));
          scheduleRenewal(answer.expires_in_seconds);
          break;
        } catch {
          // Joins again with a new token.
        }
      } else if (answer) {
        // The token is for another uid: join again with it.
        rejoin();
        break;
      }
      await sleep(backoff(failures));
    }
    renewing = false;
  }

  async function join() {
    joined = null;
    for (let failures = 0; !left; failures += 1) {
      const answer = await fetchToken();
      if (left) return;
      if (answer?.app_id) {
        const mine = client;
        const call = mine.join(answer.app_id, answer.channel, answer.token || null, answer.uid);
        try {
          await within(JOIN_TIMEOUT_MS, call);
          if (left) return void (await within(CALL_TIMEOUT_MS, mine.leave()));
          joined = answer;
          scheduleRenewal(answer.expires_in_seconds);
          if (!readyAtFirstFrame) tellReady();
          return;
        } catch (error) {
          // The next attempt uses a new client, token and uid. If this one succeeds late, it leaves.
          call.then(() => mine.leave()).catch(() => {});
          client = newClient();
          within(CALL_TIMEOUT_MS, mine.leave()).catch(() => {});
          await reportTrouble(error === TIMED_OUT ? "timeout" : "refused");
        }
      }
      await sleep(backoff(failures));
    }
  }

  let joining = false;
  async function rejoin() {
    if (joining || left) return;
    joining = true;
    clearTimeout(renewal);
    joined = null;
    try {
      await within(CALL_TIMEOUT_MS, client.leave());
    } catch (error) {
      // It had already left, or cannot; a new client replaces it.
      if (error === TIMED_OUT) client = newClient();
    }
    await join();
    joining = false;
  }

  // A client whose events are ignored once it was replaced.
  function newClient() {
    const mine = AgoraRTC.createClient({ mode: "live", codec: "vp8", role: "audience" });
    const on = (event, listener) => mine.on(event, (...args) => {
      if (mine === client) listener(...args);
    });
    on("user-published", show);
    on("user-joined", presenceChanged);
    on("user-left", presenceChanged);
    on("token-privilege-will-expire", renew);
    on("token-privilege-did-expire", rejoin);
    on("connection-state-change", (now, before, reason) => {
      if (now === "CONNECTED") connected();
      if (now === "DISCONNECTED" && reason !== "LEAVE" && joined) rejoin();
    });
    return mine;
  }

  async function run() {
    if (typeof AgoraRTC === "undefined") {
      // The CDN did not answer, or the file's hash differs.
      await reportTrouble("no_sdk");
      await sleep(5000);
      location.reload();
      return;
    }
    AgoraRTC.setLogLevel(3);
    client = newClient();
    reportPresence();
    await rejoin();
  }

  run();
})();
