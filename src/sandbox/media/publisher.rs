//! The simulated Agora's encoder: ffmpeg, fed with pictures and sound until the connection of its egress ends.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{MissedTickBehavior, interval};

use super::super::world::{Publication, World};
use super::picture::{self, FRAMES_PER_SECOND, HEIGHT, SAMPLE_RATE, WIDTH};

const FFMPEG: &str = "ffmpeg";

/// Fails with a sentence for the user if there is no ffmpeg.
pub(in crate::sandbox) fn check_ffmpeg() -> io::Result<()> {
    let started = std::process::Command::new(FFMPEG)
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match started {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "real media needs ffmpeg on the PATH: install it, for example with `apt-get install ffmpeg`",
        )),
    }
}

/// Until the connection ends. If the encoder ends first, so does the connection.
pub(in crate::sandbox) async fn run(world: Arc<World>, publication: Publication) {
    let connection = publication.connection;
    let (mut child, sound) = match start(&publication.url) {
        Ok(started) => started,
        Err(error) => {
            tracing::warn!(%error, "sandbox: ffmpeg does not start");
            world.unpublish(connection);
            return;
        }
    };
    let pictures = child.stdin.take();
    let errors = child.stderr.take();
    let feed = async {
        let Some(pictures) = pictures else { return };
        // The pipes close when ffmpeg ends.
        let _ = feed(&world, &publication, pictures, sound).await;
    };
    let mut wake = publication.wake.clone();
    tokio::select! {
        () = world.until_closed(connection, &mut wake) => {}
        () = feed => {}
        _ = child.wait() => {}
    }
    let is_closed = !world.with(|state, _| state.connected(connection));
    let _ = child.kill().await;
    if is_closed {
        return;
    }
    let mut reason = String::new();
    if let Some(mut errors) = errors {
        let _ = errors.read_to_string(&mut reason).await;
    }
    // ffmpeg names the URL, which has the stream key.
    let reason = reason.replace(&publication.url, "the publish URL");
    tracing::warn!(reason = reason.trim(), "sandbox: ffmpeg ended");
    world.unpublish(connection);
}

/// ffmpeg reads pictures from its standard input, and sound from its standard output. It ends when these pipes close, so it does not
/// outlive this process. A group of its own keeps Ctrl-C from it.
fn start(url: &str) -> io::Result<(Child, pipe::Sender)> {
    let (sound, to_sound) = io::pipe()?;
    let size = format!("{WIDTH}x{HEIGHT}");
    let (rate, samples) = (FRAMES_PER_SECOND.to_string(), SAMPLE_RATE.to_string());
    let key_frame_every = (2 * FRAMES_PER_SECOND).to_string();
    // Raw input needs no probing.
    let at_once = ["-probesize", "32", "-analyzeduration", "0"];
    let child = Command::new(FFMPEG)
        .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
        .args(at_once)
        .args(["-f", "rawvideo", "-pix_fmt", "yuv420p"])
        .args(["-video_size", &size, "-framerate", &rate, "-i", "pipe:0"])
        .args(at_once)
        .args(["-f", "s16le", "-ar", &samples, "-ac", "1", "-i", "pipe:1"])
        .args(["-map", "0:v", "-map", "1:a"])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
        ])
        .args(["-threads", "1", "-b:v", "600k", "-g", &key_frame_every])
        .args(["-keyint_min", &key_frame_every, "-sc_threshold", "0"])
        .args(["-c:a", "aac", "-b:a", "64k"])
        .args(["-flvflags", "no_duration_filesize", "-flush_packets", "1"])
        .args(["-f", "flv", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::from(sound))
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let sound = pipe::Sender::from_owned_fd(to_sound.into())?;
    Ok((child, sound))
}

/// As many frames as the time that has passed, so that the media keeps pace with the wall clock.
async fn feed(
    world: &World,
    publication: &Publication,
    mut pictures: ChildStdin,
    mut sound: pipe::Sender,
) -> io::Result<()> {
    let colour = picture::colour_of(&publication.channel);
    let samples_a_frame = u64::from(SAMPLE_RATE / FRAMES_PER_SECOND);
    let mut ticks = interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut number, mut samples) = (0_usize, 0_u64);
    loop {
        ticks.tick().await;
        let has_seller = world.with(|state, _| {
            let (channel, uids) = (&publication.channel, &publication.uids);
            state.sellers.any(channel, uids)
        });
        let millis = Utc::now().timestamp_millis();
        let clock = u32::try_from(millis & i64::from(u32::MAX)).unwrap_or_default();
        let frame = picture::frame(clock, number, has_seller.then_some(colour));
        pictures.write_all(&frame).await?;
        let tone = picture::tone(samples, samples_a_frame, has_seller);
        sound.write_all(&tone).await?;
        number += 1;
        samples += samples_a_frame;
    }
}
