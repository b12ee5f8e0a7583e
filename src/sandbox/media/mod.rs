//! What viewers see: of the built-in test video, or, with [`Options::media`](super::Options::media), of what encoders publish.
//!
//! An encoder's frames arrive in `rtmp`, become parts of segments in `segmenter`, are kept in a `broadcast` for as long as its
//! recording exists, and are listed by `hls`. Nothing is transcoded. `publisher` is the simulated Agora's encoder.

mod broadcast;
mod hls;
mod picture;
mod publisher;
mod rtmp;
mod segmenter;
mod shown;
mod test_video;

pub(super) use broadcast::{Broadcast, Part};
pub(super) use publisher::{check_ffmpeg, run as run_publisher};
pub(super) use rtmp::{IngestSockets, serve};
pub(super) use shown::{LiveParts, Shown, is_media_file};
pub(super) use test_video::STILL;
