//! A recording that became ready after its relay had ended.

use sea_orm::EntityTrait;

use super::outbox::add_outbox;
use super::parts::put_recordings;
use super::projection::show_recording;
use crate::store::entities::recording;
use crate::store::writer::{Failure, Operation, Tx};
use crate::store::{OutboxEntry, READY, Recording};

/// A recording that came late, and what the marketplace is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LateRecording {
    /// The recording.
    pub recording: Recording,
    /// What the marketplace is to be told, the first time it is ready.
    pub outbox: Vec<OutboxEntry>,
}

impl Operation for LateRecording {
    /// Whether it is news; a recording that was ready before is not touched.
    type Answer = bool;

    fn writes_outbox(&self) -> bool {
        true
    }

    fn recordings(&self) -> &[Recording] {
        std::slice::from_ref(&self.recording)
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<bool, Failure> {
        let recording = &self.recording;
        let known = recording::Entity::find_by_id(recording.video_uid.clone())
            .one(&tx.sql)
            .await?;
        if known.is_some_and(|known| known.state == READY) {
            return Ok(false);
        }
        put_recordings(tx, self).await?;
        add_outbox(tx, recording.relay_id, recording.channel_id, &self.outbox).await?;
        if let Some(url) = recording
            .hls_url
            .as_deref()
            .filter(|_| recording.state == READY)
        {
            show_recording(tx, recording.channel_id, url).await?;
        }
        Ok(true)
    }
}
