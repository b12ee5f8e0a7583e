// The recorder's page: joins the channel as audience, shows the seller and nothing else, tells the cloud browser when there is
// something to record, and tells relaykeeper whether the seller is there.
"use strict";

(() => {
  const HEARTBEAT_MS = 30_000;
  const REQUEST_TIMEOUT_MS = 10_000;
  const MAX_WAIT_MS = 30_000;
  const SETTLE_MS = 3_000;
  // The Web SDK sets its own calls no limit: out of Agora's reach they neither come true nor fail.
  const JOIN_TIMEOUT_MS = 20_000;
  const CALL_TIMEOUT_MS = 10_000;
  // Web SDK: the token is renewed this long before it expires, at the latest halfway through its life.
  const RENEW_BEFORE_S = 60;

  const query = location.search.replace(/^\?/, "");
  // Of a name given twice the last is relaykeeper's own.
  const param = (name) => new URLSearchParams(query).getAll(name).at(-1);
  const sellerUid = Number(param("seller_uid"));
  const readyAtFirstFrame = param("ready") === "frame";

  let client = null;
  let joined = null; // what the page joined with: { uid, … }
  let left = false;
  let readyTold = false;
  let renewal = 0;
  let seq = 0;

  // What a call comes to, or TIMED_OUT as its failure.
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

  // Posts to a path beside this page and reads the answer. Null: no answer, or none that says yes.
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

  // A token for a new uid, or another one for the uid this page has.
  const fetchToken = (uid) => post("recorder/token", uid === undefined ? { query } : { query, uid });

  async function leave() {
    if (left) return;
    left = true;
    clearTimeout(renewal);
    try {
      await within(CALL_TIMEOUT_MS, client?.leave());
    } catch {
      // Gone either way.
    }
    document.getElementById("seller").replaceChildren();
  }

  // --- presence -----------------------------------------------------------------------------------------------------

  const present = () => client.remoteUsers.some((user) => user.uid === sellerUid);
  // While the connection is down the page does not know, and says nothing. Just after connecting it has not yet been told who
  // is there, and does not say that the seller isn't.
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

  // Greater than any number before, those of this page's earlier loads included.
  const nextSeq = () => (seq = Math.max(seq + 1, Date.now()));
  // Tells the operator why nothing is shown.
  const reportTrouble = (trouble) => post("recorder/presence", { query, cannot_join: trouble, seq: nextSeq() });

  // One sender, so that reports are never in flight side by side; a report that failed is repeated as things are then.
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
          // Again, with a new token.
        }
      } else if (answer) {
        // Only another uid is to be had: join again with it.
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
          // The next attempt takes a new client, a new token and a new uid. Should this one come true after all, it leaves.
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
      // It had left already; or it cannot, and another takes its place.
      if (error === TIMED_OUT) client = newClient();
    }
    await join();
    joining = false;
  }

  // A client of which only the present one is listened to.
  function newClient() {
    const mine = AgoraRTC.createClient({ mode: "live", codec: "vp8", role: "audience" });
    const on = (event, listener) => mine.on(event, (...told) => {
      if (mine === client) listener(...told);
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
      // The CDN did not answer, or not with the file we know.
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
