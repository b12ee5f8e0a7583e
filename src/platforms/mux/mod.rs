//! Mux Video: live streams and their assets over the API, broadcasts on the public playback host.

mod api;
mod assets;
mod capabilities;
mod events;
mod live_streams;
mod platform;
mod playback;
mod refusal;
mod wire;

use crate::vendors::Vendor;

pub use capabilities::capabilities;
pub use platform::MuxPlatform;

pub(super) const NAME: &str = "mux";
const VENDOR: Vendor = Vendor::Platform(NAME);
