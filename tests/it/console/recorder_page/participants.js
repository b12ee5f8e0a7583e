// Participants of a channel, each with a colour and a tone, for the page with `web_sdk.js` in another window.
const channel = new BroadcastChannel("channel");
const audio = new AudioContext();
const participants = {};
let joined = false;

window.enter = (uid, colour, tone) => {
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
