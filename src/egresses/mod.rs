//! Egress backends: what pushes a channel to an ingest. The core knows facts about a backend; its ids and options are
//! values that only the backend reads.

mod cloud_recording;
mod media_push;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use crate::config::{AgoraBackend, Settings};
use crate::relay::{BackendName, EgressHandle, EgressReading, EgressRef, EgressSpec, Notice, Spec};
use crate::vendors::agora::Agora;
use crate::vendors::agora::page::Links;
use crate::vendors::governor::PermitRequest;
use crate::vendors::{Class, Done, Vendor, VendorError};
use cloud_recording::CloudRecordingEgress;
use media_push::MediaPushEgress;

/// The names of the backends of this program.
pub const NAMES: [&str; 2] = [cloud_recording::NAME, media_push::NAME];

/// An egress to start. A repeat has the same parts.
#[derive(Debug, Clone, Copy)]
pub struct EgressStart<'a> {
    /// The relay's rules.
    pub spec: &'a Spec,
    /// Counts the relay's egresses, from 1.
    pub attempt: u32,
    /// For a backend whose capabilities ask for one.
    pub preparation: Option<&'a EgressHandle>,
    /// The ingest's URL with the stream key.
    pub publish_url: &'a SecretString,
}

/// The answer to a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressStarted {
    /// It runs. Its handle may be unknown.
    Running(Option<EgressHandle>),
    /// It runs on an earlier preparation.
    Elsewhere,
    /// The preparation is expired or unknown. An earlier start on it may have been carried out.
    PreparationExpired,
}

/// The answer to a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EgressStopped {
    /// It stops.
    Stopped,
    /// Gone, or moved by the backend and back later.
    NotFound,
}

/// The answer to a search for an egress by its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressFound {
    /// It runs.
    Running(EgressHandle),
    /// As [`EgressStopped::NotFound`].
    NotFound,
    /// The list may be cut. An egress whose channel is empty ends after this time.
    ListCut {
        /// The time.
        ends_idle_after: Duration,
    },
    /// Only a notification can tell.
    Unlisted,
}

/// The tagged egresses of the whole project.
#[derive(Debug, Clone, Default)]
pub struct EgressList {
    /// With their handles, and the options of today's settings.
    pub egresses: Vec<ListedEgress>,
    /// There may be more.
    pub may_be_cut: bool,
}

/// A member of [`EgressList`].
#[derive(Debug, Clone)]
pub struct ListedEgress {
    /// How to reach it.
    pub egress: EgressRef,
    /// The time of creation, by the vendor's clock.
    pub created: Option<DateTime<Utc>>,
}

/// A backend. A call waits for a permit of the vendor's rate budget as `permit` says.
#[async_trait]
pub trait EgressBackend: Debug + Send + Sync {
    /// Its name in the settings, in the database and on the wire.
    fn name(&self) -> &'static str;

    /// The rules of a new relay's egresses.
    fn spec(&self, live_timeout: Duration, max_duration: Duration) -> EgressSpec;

    /// The time between polls of one egress.
    fn query_interval(&self) -> Duration;

    /// Calls per second.
    fn rate(&self) -> f64;

    /// The setting that limits how many egresses run at once, and its value. 0: unlimited.
    fn max_concurrent(&self) -> (&'static str, u32);

    /// The backend ends every egress after this time.
    fn max_hours(&self) -> Option<u32>;

    /// Prepares a start.
    async fn prepare(
        &self,
        _permit: PermitRequest,
        _spec: &Spec,
        _attempt: u32,
    ) -> Result<EgressHandle, VendorError> {
        Err(misused("prepare", "the backend prepares nothing"))
    }

    /// Starts an egress, or finds the one that an earlier try started.
    async fn start(
        &self,
        permit: PermitRequest,
        start: EgressStart<'_>,
    ) -> Result<EgressStarted, VendorError>;

    /// Reads an egress's state.
    async fn poll(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressReading, VendorError>;

    /// Sends an egress its target again.
    async fn update(
        &self,
        _permit: PermitRequest,
        _egress: &EgressRef,
        _publish_url: &SecretString,
    ) -> Result<(), VendorError> {
        Err(misused("update", "the backend updates nothing"))
    }

    /// Stops an egress, on whichever of its preparations it runs.
    async fn stop(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressStopped, VendorError>;

    /// Searches for an egress by its tag.
    async fn find(
        &self,
        permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressFound, VendorError>;

    /// Reads a verified notification. `None`: it is about no egress of this backend.
    fn notice(&self, _event: &Value) -> Option<Notice> {
        None
    }

    /// Lists the tagged egresses. `None`: there is no list.
    async fn list(&self, _permit: PermitRequest) -> Result<Option<EgressList>, VendorError> {
        Ok(None)
    }
}

/// The backends by name, and the one for new relays.
#[derive(Debug, Clone)]
pub struct Egresses {
    all: Vec<Arc<dyn EgressBackend>>,
    chosen: Arc<dyn EgressBackend>,
}

impl Egresses {
    /// Agora's two products.
    #[must_use]
    pub fn of_settings(settings: &Settings, agora: &Agora, links: Option<&Links>) -> Self {
        let recording: Arc<dyn EgressBackend> =
            Arc::new(CloudRecordingEgress::new(settings, agora, links));
        let push: Arc<dyn EgressBackend> = Arc::new(MediaPushEgress::new(settings, agora));
        let chosen = match settings.agora.backend {
            AgoraBackend::CloudRecording => &recording,
            AgoraBackend::MediaPush => &push,
        };
        Self {
            chosen: Arc::clone(chosen),
            all: vec![recording, push],
        }
    }

    /// Adds a backend and chooses it.
    pub fn choose(&mut self, backend: Arc<dyn EgressBackend>) {
        self.all.push(Arc::clone(&backend));
        self.chosen = backend;
    }

    /// Reads a verified notification. `None`: it is about no egress.
    #[must_use]
    pub fn notice(&self, event: &Value) -> Option<Notice> {
        self.all.iter().find_map(|backend| backend.notice(event))
    }

    /// The backend of new relays.
    #[must_use]
    pub fn chosen(&self) -> &dyn EgressBackend {
        &*self.chosen
    }

    /// The backend of this name.
    pub fn get(&self, name: &BackendName) -> Result<&dyn EgressBackend, VendorError> {
        let mut all = self.all.iter();
        let found = all.find(|backend| backend.name() == name.as_str());
        let found = found.map(|backend| &**backend);
        found.ok_or_else(|| misused("egress", format!("there is no backend {name}")))
    }
}

/// The call was not sent.
fn misused(call: &'static str, message: impl Into<String>) -> VendorError {
    VendorError {
        vendor: Vendor::Agora,
        call,
        class: Class::Rejected,
        done: Done::No,
        status: None,
        code: None,
        message: message.into(),
        retry_after: None,
    }
}

/// The stored value is another backend's, or another version's.
fn unreadable(error: &serde_json::Error) -> VendorError {
    misused("egress", format!("its stored ids cannot be read: {error}"))
}
