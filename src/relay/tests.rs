//! The life of a relay, as sentences.

mod driver;
mod ending;
mod live;
mod recovery;
mod replacing;
mod starting;
