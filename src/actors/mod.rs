//! Runs relays. An actor passes each event to the core, stores the change, and only then makes the calls.

mod alarms;
mod calls;
mod cleanup_jobs;
mod clock;
mod cluster;
mod context;
#[cfg(feature = "sandbox")]
pub mod crash;
mod directory;
mod dispatcher;
mod fleet;
mod forced_end;
mod janitor;
mod kept_ingests;
mod messages;
mod node_runner;
mod notices;
mod pace;
mod predecessor;
mod quota_shares;
mod records;
mod registry;
mod relay_actor;
mod relay_metrics;
mod replay;
mod requests;
#[cfg(feature = "sandbox")]
pub mod sabotage;
mod service;
mod spec;
mod status;
mod strays;
mod supervise;
pub mod view;

pub use alarms::AlarmCode;
pub use calls::VendorClients;
pub use clock::Clock;
pub use cluster::Cluster;
pub use context::NodeContext;
pub use directory::{Directory, RelaySnapshot};
pub use dispatcher::{
    DELIVERY_RESULTS, DeliveryError, Endpoint, EndpointError, EndpointResponse, PrivateAddressError,
};
pub use janitor::{Finding, FindingKind, FindingVerdict, Sweep, SweepError, sweep_once};
pub use node_runner::{NodeRunner, TakenOver};
pub use replay::{Replay, Replayed, calls_of, replay};
pub use requests::{
    GiveUpError, RequestError, RequestKey, StartAnswer, StartError, StartRequest, StopAnswer,
    StopError, StopRequest,
};
pub use service::{PageStatus, RelayService};
pub use status::Readiness;
