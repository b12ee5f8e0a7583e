//! Amazon IVS, low-latency channels: channels and their keys over the API, broadcasts by one list for all, recordings in S3.

mod api;
mod arn;
mod bucket;
mod capabilities;
mod channels;
mod complaints;
mod configuration;
mod credentials;
mod events;
mod off_air;
mod platform;
mod playback;
mod recordings;
mod refusal;
mod streams;
mod wire;

use crate::vendors::Vendor;

pub use api::IvsSigner;
pub use capabilities::capabilities;
pub use configuration::RecordingConfigurationState;
pub use platform::IvsPlatform;

pub(super) const NAME: &str = "ivs";
const VENDOR: Vendor = Vendor::Platform(NAME);
