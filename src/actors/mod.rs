//! The actors: a registry, one supervised actor per relay in work, the janitor; and the directory others read.

mod directory;
mod keeper;
pub mod view;

pub use directory::{Directory, Snapshot};
pub use keeper::{
    Keeper, KeyedBy, StartAnswer, StartError, StartRequest, StopAnswer, StopError, StopRequest,
};
