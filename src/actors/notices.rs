//! Takes vendors' notifications to the relays that they are about, on this node or another.

mod order;

use std::sync::Arc;

use tracing::Span;

use self::order::SellerOrder;
use super::cluster::PeerMessage;
use super::context::NodeContext;
use super::messages::{Deliver, Mailboxes};
use super::status::NodeStatus;
use super::strays::Strays;
use crate::relay::{Durable, Event, Hint, Notice, Subject};
use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct Notices {
    context: Arc<NodeContext>,
    status: Arc<NodeStatus>,
    mailboxes: Arc<Mailboxes>,
    order: SellerOrder,
    strays: Arc<Strays>,
}

impl Notices {
    pub(super) fn new(
        context: Arc<NodeContext>,
        status: Arc<NodeStatus>,
        mailboxes: Arc<Mailboxes>,
    ) -> Self {
        let strays = Strays::new(context.clone(), status.clone(), mailboxes.clone());
        Self {
            context,
            status,
            mailboxes,
            order: SellerOrder::new(),
            strays: Arc::new(strays),
        }
    }

    pub(super) async fn take(&self, notice: Notice) -> Result<(), StoreError> {
        if !self.deliver(&notice) && !self.forward(&notice).await? {
            self.handle_stray(notice);
        }
        Ok(())
    }

    /// Takes a notice that another node sent here. The relay may have moved or ended meanwhile.
    pub(super) fn take_forwarded(&self, notice: Notice) {
        if !self.deliver(&notice) {
            self.handle_stray(notice);
        }
    }

    /// Whether this node has a relay that the notice is about.
    fn deliver(&self, notice: &Notice) -> bool {
        let relays = self.context.directory.about(&notice.subject);
        if relays.is_empty() {
            return false;
        }
        if !self.order.is_news(notice) {
            return true;
        }
        for relay in relays {
            match Verdict::of(&relay.durable, notice) {
                Verdict::Hint => {
                    let message = Deliver {
                        event: Event::Hint(notice.hint.clone()),
                        stored: None,
                        parent: Span::current(),
                    };
                    self.mailboxes.deliver(relay.durable.spec.relay_id, message);
                }
                Verdict::Stray => self.handle_stray(notice.clone()),
                Verdict::Late => {}
            }
        }
        true
    }

    /// Sends the notice to the other nodes with a relay that it is about. Whether there are any.
    async fn forward(&self, notice: &Notice) -> Result<bool, StoreError> {
        let cluster = &self.context.cluster;
        let mut owners = cluster.owners(&notice.subject).await?;
        owners.retain(|owner| *owner != self.status.epoch());
        let peer_message = PeerMessage::Notice(notice.clone());
        for owner in &owners {
            cluster.send(*owner, &peer_message).await;
        }
        Ok(!owners.is_empty())
    }

    fn handle_stray(&self, notice: Notice) {
        let strays = self.strays.clone();
        let handle = async move { strays.handle(notice).await };
        self.context.runtime.spawn(handle);
    }
}

/// What a notice is to a relay that it is about.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Hint,
    /// It tells of an object that the relay no longer uses.
    Stray,
    /// The same, but from before the relay's end.
    Late,
}

impl Verdict {
    fn of(durable: &Durable, notice: &Notice) -> Self {
        let is_used = match (&notice.hint, &notice.subject) {
            (Hint::FeedConnected, _) => durable.phase.holds_slot(),
            (Hint::EgressNamed { .. }, Subject::Tag(tag)) => {
                let egress = durable.open_egress();
                egress.is_some_and(|egress| egress.attempt == tag.attempt)
            }
            _ => true,
        };
        let end = durable.stopped_at.zip(notice.at);
        match is_used {
            true => Self::Hint,
            false if end.is_some_and(|(stopped_at, at)| at <= stopped_at) => Self::Late,
            false => Self::Stray,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::actors::directory::Directory;
    use crate::actors::view::fixture;
    use crate::relay::{EgressHandle, EgressStage, Phase};

    fn verdicts(relay: &Durable, notice: &Notice) -> Vec<(Uuid, Verdict)> {
        let directory = Directory::default();
        directory.publish((*fixture::snapshot(relay.clone())).clone());
        let relays = directory.about(&notice.subject).into_iter();
        relays
            .map(|relay| {
                let verdict = Verdict::of(&relay.durable, notice);
                (relay.durable.spec.relay_id, verdict)
            })
            .collect()
    }

    fn seller(channel: &str, uid: u32) -> Notice {
        let channel_name = channel.to_owned();
        Notice::new(Subject::Seller { channel_name, uid }, Hint::SellerJoined)
    }

    fn feed(ingest: &str, hint: Hint) -> Notice {
        let platform = fixture::live().spec.platform;
        Notice::new(Subject::ingest(platform.as_str(), ingest), hint)
    }

    #[test]
    fn only_the_seller_of_a_live_relay_leads_to_a_hint() {
        let mut relay = fixture::live();
        let id = relay.spec.relay_id;
        let hint = [(id, Verdict::Hint)];
        assert_eq!(verdicts(&relay, &seller("show68", 12345)), hint);
        for other in [seller("show68", 12346), seller("show6", 12345)] {
            assert_eq!(verdicts(&relay, &other), [], "{other:?}");
        }
        relay.phase = Phase::Stopping;
        assert_eq!(verdicts(&relay, &seller("show68", 12345)), []);
    }

    #[test]
    fn an_event_of_an_egress_is_a_hint_until_its_relay_no_longer_watches_that_egress() {
        let mut relay = fixture::live();
        let id = relay.spec.relay_id;
        let tag = relay.spec.tag(1);
        let hint = Hint::EgressNamed {
            tag: tag.to_string(),
            handle: EgressHandle::of_id("sid", "s9"),
        };
        let notice = Notice::new(Subject::Tag(tag), hint);
        assert_eq!(verdicts(&relay, &notice), [(id, Verdict::Hint)]);
        relay.egress.as_mut().unwrap().stage = EgressStage::Settled;
        assert_eq!(verdicts(&relay, &notice), [(id, Verdict::Stray)]);
        relay.egress.as_mut().unwrap().stage = EgressStage::Running;
        relay.egress.as_mut().unwrap().attempt = 2;
        assert_eq!(verdicts(&relay, &notice), [(id, Verdict::Stray)]);
        relay.spec.relay_id = Uuid::from_u128(2);
        assert_eq!(verdicts(&relay, &notice), []);
    }

    #[test]
    fn a_converter_is_known_by_its_tag_or_its_id() {
        let relay = fixture::live_by_media_push();
        let hint = [(relay.spec.relay_id, Verdict::Hint)];
        let changed = |subject| Notice::new(subject, Hint::EgressChanged);
        let by_tag = changed(Subject::Tag(relay.spec.tag(1)));
        assert_eq!(verdicts(&relay, &by_tag), hint);
        let by_id = changed(Subject::Egress("abcdef".into()));
        assert_eq!(verdicts(&relay, &by_id), hint);
        let other = changed(Subject::Egress("other".into()));
        assert_eq!(verdicts(&relay, &other), []);
    }

    #[test]
    fn a_feed_that_connects_is_a_hint_while_its_relay_holds_the_slot_and_then_a_stray() {
        let mut relay = fixture::live();
        let id = relay.spec.relay_id;
        let connected = feed(fixture::INGEST, Hint::FeedConnected);
        assert_eq!(verdicts(&relay, &connected), [(id, Verdict::Hint)]);
        assert_eq!(verdicts(&relay, &feed("another", Hint::FeedConnected)), []);
        relay.phase = Phase::Finalizing;
        assert_eq!(verdicts(&relay, &connected), [(id, Verdict::Stray)]);
        for other in [Hint::FeedDisconnected, Hint::RecordingDone] {
            let notice = feed(fixture::INGEST, other);
            assert_eq!(verdicts(&relay, &notice), [(id, Verdict::Hint)]);
        }
    }

    #[test]
    fn a_feed_that_connected_before_the_end_of_its_relay_is_late_and_no_stray() {
        let mut relay = fixture::live();
        let id = relay.spec.relay_id;
        relay.phase = Phase::Stopping;
        relay.stopped_at = Some(fixture::at("10:30:00.000"));
        for (at, verdict) in [
            (Some("10:29:59.999"), Verdict::Late),
            (Some("10:30:00.000"), Verdict::Late),
            (Some("10:30:00.001"), Verdict::Stray),
            (None, Verdict::Stray),
        ] {
            let notice = Notice {
                at: at.map(fixture::at),
                ..feed(fixture::INGEST, Hint::FeedConnected)
            };
            assert_eq!(verdicts(&relay, &notice), [(id, verdict)], "{at:?}");
        }
    }
}
