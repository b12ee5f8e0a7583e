//! A cache of channels' last recordings, which every read of a channel shows and every relay changes once.
//!
//! A commit of this process removes an entry. A read in flight may have seen the old state, so its ticket becomes
//! invalid. Commits of other processes are not noticed, so entries expire unless this process is alone on the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::RecordingRow;

/// How long an entry is valid while other processes may write.
const VALID_FOR: Duration = Duration::from_secs(1);
/// A full cache is emptied. An entry takes about 60 bytes, 660 with a recording.
const MAX_CHANNELS: usize = 16_384;

type Last = Option<Arc<RecordingRow>>;

#[derive(Debug, Default)]
pub(super) struct LastRecordings {
    inner: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    channels: HashMap<i64, Kept>,
    last_ticket: u64,
    alone: bool,
}

#[derive(Debug)]
enum Kept {
    /// With the time at which the read began.
    Known(Last, Instant),
    Reading(ReadTicket),
}

#[derive(Debug, PartialEq)]
pub(super) enum Lookup {
    Hit(Last),
    /// Read the database, and pass the result to [`LastRecordings::learn`] with this ticket.
    Miss(ReadTicket),
}

/// Lets a read result into the cache, unless the channel was written to meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadTicket(u64);

impl LastRecordings {
    pub(super) fn look_up(&self, channel_id: i64, now: Instant) -> Lookup {
        let mut inner = self.lock();
        match inner.channels.get(&channel_id) {
            Some(Kept::Known(last, at)) if inner.alone || now < *at + VALID_FOR => {
                return Lookup::Hit(last.clone());
            }
            Some(Kept::Reading(ticket)) => return Lookup::Miss(*ticket),
            Some(Kept::Known(..)) | None => {}
        }
        if inner.channels.len() >= MAX_CHANNELS {
            inner.channels.clear();
        }
        inner.last_ticket += 1;
        let ticket = ReadTicket(inner.last_ticket);
        inner.channels.insert(channel_id, Kept::Reading(ticket));
        Lookup::Miss(ticket)
    }

    /// Stores the result of a read that began at `asked_at`.
    pub(super) fn learn(&self, channel_id: i64, ticket: ReadTicket, last: Last, asked_at: Instant) {
        let mut inner = self.lock();
        if let Some(kept) = inner.channels.get_mut(&channel_id)
            && matches!(kept, Kept::Reading(reading) if *reading == ticket)
        {
            *kept = Kept::Known(last, asked_at);
        }
    }

    /// Removes a channel: a recording of it was committed, or may have been.
    pub(super) fn forget(&self, channel_id: i64) {
        self.lock().channels.remove(&channel_id);
    }

    /// From now on no other process writes to the database.
    pub(super) fn alone(&self) {
        let mut inner = self.lock();
        inner.alone = true;
        inner.channels.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(id: &str) -> Last {
        let at = chrono::DateTime::UNIX_EPOCH;
        Some(Arc::new(RecordingRow {
            platform: "platform".into(),
            id: id.into(),
            relay_id: uuid::Uuid::nil().into(),
            channel_id: 1,
            state: crate::relay::RecordingState::Ready.into(),
            duration_seconds: None,
            hls_url: None,
            dash_url: None,
            thumbnail_url: None,
            location: None,
            created_at: at,
            ready_at: Some(at),
        }))
    }

    fn ticket(last: &LastRecordings, channel_id: i64, now: Instant) -> ReadTicket {
        match last.look_up(channel_id, now) {
            Lookup::Miss(ticket) => ticket,
            Lookup::Hit(known) => panic!("{known:?} is known"),
        }
    }

    #[test]
    fn a_lone_process_reads_once_until_it_writes_also_without_a_recording() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.alone();
        last.learn(1, ticket(&last, 1, now), None, now);
        last.learn(2, ticket(&last, 2, now), recording("of 2"), now);
        let later = now + Duration::from_secs(3600);
        assert_eq!(last.look_up(1, later), Lookup::Hit(None));
        last.forget(1);
        last.learn(1, ticket(&last, 1, later), recording("new"), later);
        assert_eq!(last.look_up(1, later), Lookup::Hit(recording("new")));
        assert_eq!(last.look_up(2, later), Lookup::Hit(recording("of 2")));
    }

    #[test]
    fn a_result_from_before_a_commit_is_not_cached() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.alone();
        let before = ticket(&last, 1, now);
        last.forget(1);
        last.learn(1, before, None, now);
        let after = ticket(&last, 1, now);
        last.learn(1, before, None, now);
        last.learn(1, after, recording("new"), now);
        last.learn(1, before, None, now);
        assert_eq!(last.look_up(1, now), Lookup::Hit(recording("new")));
    }

    #[test]
    fn concurrent_reads_share_a_ticket_so_that_the_first_result_counts() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.alone();
        let (first, second) = (ticket(&last, 1, now), ticket(&last, 1, now));
        last.learn(1, first, recording("new"), now);
        assert_eq!(last.look_up(1, now), Lookup::Hit(recording("new")));
        last.learn(1, second, recording("new"), now);
        assert_eq!(last.look_up(1, now), Lookup::Hit(recording("new")));
    }

    #[test]
    fn an_entry_that_another_process_may_have_changed_is_valid_for_a_second() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        last.learn(1, ticket(&last, 1, now), None, now);
        let nearly = now + VALID_FOR - Duration::from_millis(1);
        assert_eq!(last.look_up(1, nearly), Lookup::Hit(None));
        let asked_again = ticket(&last, 1, now + VALID_FOR);
        last.learn(1, asked_again, recording("theirs"), now + VALID_FOR);
        assert_eq!(
            last.look_up(1, now + VALID_FOR),
            Lookup::Hit(recording("theirs"))
        );
        last.alone();
        assert!(matches!(last.look_up(1, now + VALID_FOR), Lookup::Miss(_)));
    }

    #[test]
    fn the_cache_is_bounded() {
        let (last, now) = (LastRecordings::default(), Instant::now());
        for channel_id in 0..50_000 {
            last.learn(channel_id, ticket(&last, channel_id, now), None, now);
            assert!(last.lock().channels.len() <= MAX_CHANNELS);
        }
    }
}
