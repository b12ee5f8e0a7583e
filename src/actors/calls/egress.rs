//! Calls on the egress, each to its backend.

use super::{VendorCalls, failure, permit_request, start_permit_request};
use crate::egresses::{EgressStart, EgressStarted, EgressStopped};
use crate::relay::{Answer, Durable, EgressHandle, EgressRef, Failure};
use crate::vendors::governor::Priority;

impl VendorCalls {
    pub(super) async fn prepare_egress(
        &self,
        durable: &Durable,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let (spec, permit) = (&durable.spec, start_permit_request(durable));
        let egress = self.vendors.egresses.get(&spec.egress.backend.name);
        let prepared = egress.map_err(failure)?.prepare(permit, spec, attempt);
        Ok(Answer::EgressPrepared(prepared.await.map_err(failure)?))
    }

    pub(super) async fn start_egress(
        &self,
        durable: &Durable,
        attempt: u32,
        preparation: Option<&EgressHandle>,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let (spec, permit) = (&durable.spec, start_permit_request(durable));
        let egress = self.vendors.egresses.get(&spec.egress.backend.name);
        let start = EgressStart {
            spec,
            attempt,
            preparation,
            publish_url: &self.publish_url(durable, ingest, permit).await?,
        };
        let started = egress.map_err(failure)?.start(permit, start).await;
        Ok(match started.map_err(failure)? {
            EgressStarted::Running(handle) => Answer::EgressRunning(handle),
            EgressStarted::Elsewhere => Answer::EgressElsewhere,
            EgressStarted::PreparationExpired => Answer::PreparationExpired,
        })
    }

    pub(super) async fn update_egress(
        &self,
        durable: &Durable,
        egress: &EgressRef,
        ingest: &str,
    ) -> Result<Answer, Failure> {
        let permit = permit_request(Priority::Recover);
        self.distrust_publish_url(durable, ingest);
        let publish_url = self.publish_url(durable, ingest, permit).await?;
        let backend = self.vendors.egresses.get(&egress.backend.name);
        let updated = backend
            .map_err(failure)?
            .update(permit, egress, &publish_url);
        updated.await.map_err(failure)?;
        Ok(Answer::Updated)
    }

    pub(super) async fn stop_egress(&self, egress: &EgressRef) -> Result<Answer, Failure> {
        let backend = self.vendors.egresses.get(&egress.backend.name);
        let stopped = backend
            .map_err(failure)?
            .stop(permit_request(Priority::Stop), egress);
        Ok(match stopped.await.map_err(failure)? {
            EgressStopped::Stopped => Answer::Stopped,
            EgressStopped::NotFound => Answer::NotFound,
        })
    }

    pub(super) async fn poll_egress(&self, egress: &EgressRef) -> Result<Answer, Failure> {
        let backend = self.vendors.egresses.get(&egress.backend.name);
        let polled = backend
            .map_err(failure)?
            .poll(permit_request(Priority::Recover), egress);
        Ok(Answer::Egress(polled.await.map_err(failure)?))
    }
}
