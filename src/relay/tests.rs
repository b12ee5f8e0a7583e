//! The life cycle of a relay, one promise per test.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests")]

mod deadlines;
mod driver;
mod ending;
mod failing;
mod feeds;
mod kept;
mod live;
mod pace;
mod platforms;
mod readings;
mod recordings;
mod recovery;
mod replacing;
mod resources;
mod starting;
