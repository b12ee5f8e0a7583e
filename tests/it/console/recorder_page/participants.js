// Participants of a channel, each with a colour and a tone, for the page with `web_sdk.js` in another window.
const channel = new BroadcastChannel("channel");
const audio = new AudioContext();
const participants = {};
let joined = false;

// `clock`: bars of the wall clock and their inverse in the top rows, as in the pictures of the simulated Agora.
window.enter = (uid, colour, tone, clock = false) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [640, 360];
  const picture = canvas.getContext("2d");
  let frame = 0;
  // No two frames after another are the same: the track would send none.
  const paint = () => {
    frame += 1;
    picture.globalAlpha = 1;
    picture.fillStyle = colour;
    picture.fillRect(0, 0, 640, 360);
    picture.globalAlpha = 0.1;
    picture.fillStyle = frame % 2 ? "black" : "white";
    picture.fillRect(0, 0, 640, 360);
    if (!clock) return;
    picture.globalAlpha = 1;
    const now = Date.now() % 2 ** 32;
    for (let bar = 0; bar < 32; bar += 1) {
      const bit = Math.floor(now / 2 ** (31 - bar)) % 2;
      for (const [row, white] of [[0, bit], [40, 1 - bit]]) {
        picture.fillStyle = white ? "white" : "black";
        picture.fillRect(bar * 20, row, 20, 40);
      }
    }
  };
  paint();
  const painting = setInterval(paint, 66);
  const oscillator = audio.createOscillator();
  const volume = audio.createGain();
  const sound = audio.createMediaStreamDestination();
  oscillator.frequency.value = tone;
  // A tone that begins at once has all frequencies.
  volume.gain.value = 0;
  volume.gain.linearRampToValueAtTime(0.3, audio.currentTime + 0.3);
  oscillator.connect(volume).connect(sound);
  oscillator.start();
  const stream = new MediaStream([...canvas.captureStream(15).getTracks(), ...sound.stream.getTracks()]);
  participants[uid] = { stream, stop: () => { clearInterval(painting); oscillator.stop(); } };
  if (joined) offer(uid);
};

window.leave = (uid) => {
  const { connection, stop } = participants[uid];
  delete participants[uid];
  stop();
  connection?.close();
  channel.postMessage({ from: uid, left: true });
};

async function offer(uid) {
  const connection = (participants[uid].connection = new RTCPeerConnection());
  const { stream } = participants[uid];
  for (const track of stream.getTracks()) connection.addTrack(track, stream);
  await connection.setLocalDescription();
  await new Promise((done) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && done();
  });
  channel.postMessage({ from: uid, offer: connection.localDescription.sdp });
}

channel.onmessage = ({ data }) => {
  if (data.joined) {
    joined = true;
    Object.keys(participants).map(Number).forEach(offer);
  }
  if (data.answer) participants[data.to].connection.setRemoteDescription({ type: "answer", sdp: data.answer });
};
