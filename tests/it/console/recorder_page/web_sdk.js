// Stands in for Agora's Web SDK with the part of its API that the page uses. The media are real: one RTCPeerConnection with each
// participant of the window that runs `participants.js`. What the page does, shows and plays is in `window.seen`.
(() => {
  // Renewals of tokens come after seconds.
  const later = window.setTimeout;
  window.setTimeout = (done, ms, ...more) => later(done, ms > 60_000 ? ms / 200 : ms, ...more);

  const seen = (window.seen = { calls: [], tokens: [], shown: { red: 0, lime: 0, other: 0 }, heard: {} });
  const channel = new BroadcastChannel("channel");
  navigator.notifyReady = () => seen.calls.push("notifyReady");

  class Emitter {
    #listeners = {};
    on(event, listener) { (this.#listeners[event] ??= []).push(listener); }
    emit(event, ...args) { for (const listener of this.#listeners[event] ?? []) listener(...args); }
  }

  // Counts a frame for each colour that is anywhere in it.
  const canvas = document.createElement("canvas");
  const pixels = canvas.getContext("2d", { willReadFrequently: true });
  [canvas.width, canvas.height] = [16, 9];
  function count(video) {
    pixels.drawImage(video, 0, 0, 16, 9);
    const { data } = pixels.getImageData(0, 0, 16, 9);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue] = data.slice(at, at + 3);
      colours.add(red > 150 && green < 90 && blue < 90 ? "red" : green > 150 && red < 90 && blue < 90 ? "lime" : "other");
    }
    for (const colour of colours) seen.shown[colour] += 1;
  }

  // All that the page plays goes through one analyser. For each tone the loudest level in dB.
  let speaker = null;
  function hear(stream) {
    // Chromium delivers a remote track only while an element plays it.
    const element = new Audio();
    element.muted = true;
    element.srcObject = stream;
    element.play();
    if (!speaker) {
      const audio = new AudioContext();
      speaker = audio.createAnalyser();
      speaker.fftSize = 4096;
      speaker.connect(audio.destination);
      const levels = new Float32Array(speaker.frequencyBinCount);
      setInterval(() => {
        speaker.getFloatFrequencyData(levels);
        for (const tone of [440, 1000]) {
          const bin = Math.round((tone * speaker.fftSize) / audio.sampleRate);
          seen.heard[tone] = Math.max(seen.heard[tone] ?? -200, ...levels.slice(bin - 2, bin + 3));
        }
      }, 50);
    }
    const source = speaker.context.createMediaStreamSource(stream);
    source.connect(speaker);
    return source;
  }

  class Track extends Emitter {
    constructor(uid, track) {
      super();
      this.uid = uid;
      this.kind = track.kind;
      this.stream = new MediaStream([track]);
    }
    play(container) {
      seen.calls.push(`play ${this.uid} ${this.kind}`);
      if (this.kind === "audio") {
        this.source = hear(this.stream);
        return;
      }
      this.box = document.createElement("div");
      Object.assign(this.box.style, { width: "100%", height: "100%", position: "relative", overflow: "hidden" });
      const video = document.createElement("video");
      video.muted = true;
      video.srcObject = this.stream;
      video.play();
      this.box.append(video);
      document.getElementById(container).append(this.box);
      const decoded = () => {
        count(video);
        video.requestVideoFrameCallback(decoded);
      };
      video.requestVideoFrameCallback(() => {
        seen.calls.push(`first-frame ${this.uid}`);
        this.emit("first-frame-decoded");
        decoded();
      });
    }
    stop() {
      this.box?.remove();
      this.source?.disconnect();
    }
  }

  class Client extends Emitter {
    connectionState = "DISCONNECTED";
    remoteUsers = [];
    #connections = {};

    async join(app, name, token, uid) {
      seen.calls.push("join");
      seen.uid = uid;
      seen.tokens.push(token);
      this.#change("CONNECTING");
      channel.onmessage = ({ data }) => {
        if (data.offer) this.#offered(data.from, data.offer);
        if (data.left) this.#left(data.from);
      };
      channel.postMessage({ joined: name });
      this.#change("CONNECTED");
      return uid;
    }
    async leave() {
      seen.calls.push("leave");
      for (const user of [...this.remoteUsers]) this.#left(user.uid);
      if (this.connectionState !== "DISCONNECTED") this.#change("DISCONNECTED", "LEAVE");
    }
    async renewToken(token) {
      seen.calls.push("renewToken");
      seen.tokens.push(token);
    }
    async subscribe(user, kind) { return this.#connections[user.uid].tracks[kind]; }

    #change(now, reason) {
      const before = this.connectionState;
      this.connectionState = now;
      this.emit("connection-state-change", now, before, reason);
    }
    async #offered(uid, offer) {
      const connection = (this.#connections[uid] = new RTCPeerConnection());
      connection.tracks = {};
      const user = { uid, hasVideo: false, hasAudio: false };
      this.remoteUsers.push(user);
      this.emit("user-joined", user);
      connection.ontrack = ({ track }) => {
        connection.tracks[track.kind] = new Track(uid, track);
        user[track.kind === "video" ? "hasVideo" : "hasAudio"] = true;
        // Also when the page does not subscribe: the media have arrived.
        track.onunmute = () => seen.calls.push(`arrived ${uid} ${track.kind}`);
        this.emit("user-published", user, track.kind);
      };
      await connection.setRemoteDescription({ type: "offer", sdp: offer });
      await connection.setLocalDescription();
      await new Promise((done) => {
        connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && done();
      });
      channel.postMessage({ to: uid, answer: connection.localDescription.sdp });
    }
    #left(uid) {
      const user = this.remoteUsers.find((one) => one.uid === uid);
      this.remoteUsers = this.remoteUsers.filter((one) => one !== user);
      for (const track of Object.values(this.#connections[uid].tracks)) track.stop();
      this.#connections[uid].close();
      this.emit("user-left", user, "Quit");
    }
  }

  const AgoraRTC = { setLogLevel() {}, createClient: () => new Client() };
  Object.defineProperty(window, "AgoraRTC", { value: AgoraRTC, writable: false });
})();
