//! What was read of channels' last recordings, kept until it changes: every read of a channel shows one, and a recording
//! comes once a show.
//!
//! What is kept is never older than the last commit of this process's own writer, which has it forgotten. A read that was
//! under way meanwhile may have seen the time before: it holds a ticket, and a ticket from before is worth nothing. What
//! another process writes is not heard of here, so unless this one is alone on the database what is kept gets old.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::RecordingRow;

/// For how long something holds that another process may have changed.
const HOLDS: Duration = Duration::from_secs(1);
/// The most channels; then all are forgotten. A channel without a recording takes some 60 bytes, one with it some 600 more.
const MOST: usize = 16_384;

/// A channel's last recording; or that it has none.
type Last = Option<Arc<RecordingRow>>;

/// The last recordings of channels.
#[derive(Debug, Default)]
pub(super) struct LastRecordings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    channels: HashMap<i64, Kept>,
    last_ticket: u64,
    /// No other process writes here.
    alone: bool,
}

#[derive(Debug)]
enum Kept {
    /// Read; asked for at that moment.
    Known(Last, Instant),
    /// Being read, by all who hold this ticket.
    Asked(Ticket),
}

/// What is known of a channel.
#[derive(Debug, PartialEq)]
pub(super) enum Poll {
    /// This.
    Known(Last),
    /// Nothing: the database has to be asked, and the answer brought back with the ticket.
    Ask(Ticket),
}

/// Lets an answer in, unless the channel was written to since it was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl LastRecordings {
    /// What is known of a channel's last recording.
    pub(super) fn poll(&self, channel_id: i64, now: Instant) -> Poll {
        let mut inner = self.lock();
        match inner.channels.get(&channel_id) {
            Some(Kept::Known(last, at)) if inner.alone || now < *at + HOLDS => {
                return Poll::Known(last.clone());
            }
            Some(Kept::Asked(ticket)) => return Poll::Ask(*ticket),
            Some(Kept::Known(..)) | None => {}
        }
        if inner.channels.len() >= MOST {
            inner.channels.clear();
        }
        inner.last_ticket += 1;
        let ticket = Ticket(inner.last_ticket);
        inner.channels.insert(channel_id, Kept::Asked(ticket));
        Poll::Ask(ticket)
    }

    /// What the database answered to who drew the ticket, and asked at this moment.
    pub(super) fn learn(&self, channel_id: i64, ticket: Ticket, last: Last, asked_at: Instant) {
        let mut inner = self.lock();
        if let Some(kept) = inner.channels.get_mut(&channel_id)
            && matches!(kept, Kept::Asked(asked) if *asked == ticket)
        {
            *kept = Kept::Known(last, asked_at);
        }
    }

    /// A recording of the channel was, or may have been, committed.
    pub(super) fn forget(&self, channel_id: i64) {
        self.lock().channels.remove(&channel_id);
    }

    /// From now on no other process writes to this database; what one wrote before is not known here.
    pub(super) fn alone(&self) {
        let mut inner = self.lock();
        inner.alone = true;
        inner.channels.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(id: &str) -> Last {
        let at = chrono::DateTime::UNIX_EPOCH;
        Some(Arc::new(RecordingRow {
            id: id.into(),
            relay_id: uuid::Uuid::nil(),
            channel_id: 1,
            state: super::super::READY.into(),
            duration_seconds: None,
            hls_url: None,
            dash_url: None,
            thumbnail_url: None,
            created_at: at,
            ready_at: Some(at),
        }))
    }

    fn ticket(last: &LastRecordings, channel_id: i64, now: Instant) -> Ticket {
        match last.poll(channel_id, now) {
            Poll::Ask(ticket) => ticket,
            Poll::Known(known) => panic!("{known:?} is known"),
        }
    }

    #[test]
    fn a_process_alone_asks_once_until_it_writes_also_when_there_is_nothing() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.alone();
        last.learn(1, ticket(&last, 1, now), None, now);
        last.learn(2, ticket(&last, 2, now), recording("of 2"), now);
        let later = now + Duration::from_secs(3600);
        assert_eq!(last.poll(1, later), Poll::Known(None));
        last.forget(1);
        last.learn(1, ticket(&last, 1, later), recording("new"), later);
        assert_eq!(last.poll(1, later), Poll::Known(recording("new")));
        assert_eq!(last.poll(2, later), Poll::Known(recording("of 2")));
    }

    #[test]
    fn an_answer_from_before_a_commit_is_not_kept() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.alone();
        let before = ticket(&last, 1, now);
        last.forget(1);
        last.learn(1, before, None, now);
        let after = ticket(&last, 1, now);
        // Now somebody else asks too: the old answer still does not get in.
        last.learn(1, before, None, now);
        last.learn(1, after, recording("new"), now);
        last.learn(1, before, None, now);
        assert_eq!(last.poll(1, now), Poll::Known(recording("new")));
    }

    #[test]
    fn who_asks_at_once_shares_a_ticket_so_that_the_first_answer_counts() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.alone();
        let (first, second) = (ticket(&last, 1, now), ticket(&last, 1, now));
        last.learn(1, first, recording("new"), now);
        assert_eq!(last.poll(1, now), Poll::Known(recording("new")));
        last.learn(1, second, recording("new"), now);
        assert_eq!(last.poll(1, now), Poll::Known(recording("new")));
    }

    #[test]
    fn what_another_process_may_have_changed_holds_for_a_second() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.learn(1, ticket(&last, 1, now), None, now);
        let nearly = now + HOLDS - Duration::from_millis(1);
        assert_eq!(last.poll(1, nearly), Poll::Known(None));
        let asked_again = ticket(&last, 1, now + HOLDS);
        last.learn(1, asked_again, recording("theirs"), now + HOLDS);
        assert_eq!(last.poll(1, now + HOLDS), Poll::Known(recording("theirs")));
        last.alone();
        assert!(matches!(last.poll(1, now + HOLDS), Poll::Ask(_)));
    }

    #[test]
    fn no_more_channels_are_kept_than_there_is_room_for() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        for channel_id in 0..50_000 {
            last.learn(channel_id, ticket(&last, channel_id, now), None, now);
            assert!(last.lock().channels.len() <= MOST);
        }
    }
}
