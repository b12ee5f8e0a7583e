// A buyer's page: the marketplace's server tells it of the channel's newest show, the streaming platform sends the video.
"use strict";

(() => {
  const RETRY_MS = 2_000;
  const STALLED_MS = 10_000;
  const RECONNECT_MS = 5_000;
  // The phases of a relay as a buyer sees them; without a relay it is "soon".
  const STATES = { live: "live", interrupted: "interrupted", stopping: "ended", finalizing: "ended", ended: "ended" };
  const SAID = {
    soon: "The show begins soon.",
    live: "Live",
    interrupted: "Interrupted. The show goes on in a moment.",
    ended: "The show has ended.",
    recording: "The show has ended. This is its recording.",
  };
  const element = (id) => document.getElementById(id);
  const video = element("video");
  let show = {};
  let state = "soon";

  // --- the player -----------------------------------------------------------------------------------------------------

  let playing = null; // the manifest's URL
  let close = () => {};
  let retry = 0;

  function play(url) {
    stop();
    playing = url;
    video.controls = true;
    if (window.Hls?.isSupported()) {
      // Plays low-latency HLS if the manifest has parts. Catches up unnoticeably after a stall.
      const hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.1 });
      hls.on(Hls.Events.ERROR, (_, error) => { if (error.fatal) playAgain(); });
      hls.loadSource(url);
      hls.attachMedia(video);
      close = () => hls.destroy();
    } else {
      video.src = url;
      close = () => {
        video.removeAttribute("src");
        video.load();
      };
    }
    // Without permission to play, the browser waits for a click on the video's own button.
    video.play().catch(() => {});
  }

  function stop() {
    clearTimeout(retry);
    playing = null;
    video.controls = false;
    close();
    close = () => {};
  }

  // Manifests can be missing for a moment, and some players fail while one is short.
  function playAgain() {
    clearTimeout(retry);
    const url = playing;
    retry = setTimeout(() => { if (playing === url) play(url); }, RETRY_MS);
  }
  video.addEventListener("error", () => { if (playing) playAgain(); });

  // A player that does not go on by itself once the show does.
  let position = { time: 0, since: Date.now() };
  setInterval(() => {
    const waits = state === "live" && playing && !video.paused && video.currentTime === position.time;
    if (!waits) position = { time: video.currentTime, since: Date.now() };
    else if (Date.now() - position.since > STALLED_MS) {
      position.since = Date.now();
      play(playing);
    }
  }, 1_000);

  // --- the show -------------------------------------------------------------------------------------------------------

  function render() {
    const recorded = state === "ended" && show.recording_url;
    const replays = recorded && playing === show.recording_url;
    const said = SAID[replays ? "recording" : state];
    document.body.dataset.state = state;
    // A screen reader announces each change once.
    if (element("said").textContent !== said) element("said").textContent = said;
    element("title").textContent = document.title = show.title ?? "Live show";
    element("recording").hidden = !recorded || replays;
    element("sound").hidden = !playing || !video.muted;
  }

  function told(now) {
    show = now;
    state = STATES[show.phase] ?? "soon";
    const airs = state === "live" || state === "interrupted";
    if (airs && playing !== show.hls_url) play(show.hls_url);
    if (!airs && playing !== show.recording_url) stop();
    render();
  }

  element("recording").addEventListener("click", () => {
    play(show.recording_url);
    render();
    video.focus();
  });
  element("sound").addEventListener("click", () => { video.muted = false; });
  video.addEventListener("volumechange", render);

  function listen() {
    const events = new EventSource(`${location.pathname}/state`);
    events.onmessage = ({ data }) => told(JSON.parse(data));
    events.onerror = () => {
      // The browser reconnects by itself unless the server refused.
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, RECONNECT_MS);
    };
  }

  listen();
})();
