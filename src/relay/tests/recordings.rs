//! The search for recordings, and the cost.

use chrono::TimeDelta;

use super::driver::*;
use super::ending::{finalizing, stopped};
use crate::relay::*;

#[test]
fn one_recording_is_found_announced_and_charged() {
    on_both(|spec| {
        let mut life = finalizing(spec);
        life.answer(
            "poll_recordings",
            Answer::Recordings(vec![recording("video", RecordingState::Processing, 0)]),
        );
        assert_eq!(life.phase(), Phase::Finalizing, "it is still being made");
        life.wait(20);
        life.answer(
            "poll_recordings",
            Answer::Recordings(vec![recording("video", RecordingState::Ready, 1830)]),
        );
        life.answer("remove_ingest", Answer::Removed);
        assert_eq!(life.phase(), Phase::Ended);
        let cost = life.relay.durable().cost.unwrap();
        assert_eq!(
            (
                cost.source,
                cost.duration_seconds,
                cost.minutes,
                cost.cost_cents
            ),
            (Source::Recording, 1830, 31, 16)
        );
        use Announcement::*;
        assert_eq!(
            life.announced,
            [Starting, Live, Stopped, RecordingReady, Ended]
        );
        assert!(life.relay.wake_at(life.now).is_none());
    });
}

#[test]
fn several_recordings_after_an_interruption_are_summed_and_the_longest_is_shown() {
    let mut life = Life::without_feed(push());
    life.feed = Some(true);
    life.wait(10);
    life.handle(Event::Stop);
    life.answer("stop_egress", Answer::Stopped);
    life.answer("close_ingest", Answer::Closed);
    let poll = life.waiting("poll_recordings");
    assert!(
        matches!(poll, Some(Call::PollRecordings { thorough: true, .. })),
        "there may be more than were seen"
    );
    let recordings = vec![
        recording("video", RecordingState::Ready, 40),
        recording("other", RecordingState::Ready, 50),
    ];
    life.answer("poll_recordings", Answer::Recordings(recordings));
    life.answer("remove_ingest", Answer::Removed);
    let durable = life.relay.durable();
    assert_eq!(durable.main_recording().unwrap().id, "other");
    assert_eq!(durable.cost.unwrap().duration_seconds, 90);
}

/// A ready recording of unknown duration.
fn of_unknown_length(id: &str) -> Recording {
    Recording {
        duration_ms: None,
        ..recording(id, RecordingState::Ready, 0)
    }
}

#[test]
fn a_ready_recording_of_unknown_length_is_waited_for_and_announced_once() {
    on_both(|spec| {
        let mut life = finalizing(spec);
        let known = recording("video", RecordingState::Ready, 10);
        life.answer(
            "poll_recordings",
            Answer::Recordings(vec![known.clone(), of_unknown_length("other")]),
        );
        assert_eq!(life.phase(), Phase::Finalizing, "its length is not known");
        life.wait(20);
        let both = vec![known, recording("other", RecordingState::Ready, 1820)];
        life.answer("poll_recordings", Answer::Recordings(both));
        life.answer("remove_ingest", Answer::Removed);
        let cost = life.relay.durable().cost.unwrap();
        assert_eq!(
            (cost.source, cost.duration_seconds),
            (Source::Recording, 1830)
        );
        use Announcement::*;
        let expected = [
            Starting,
            Live,
            Stopped,
            RecordingReady,
            RecordingReady,
            Ended,
        ];
        assert_eq!(life.announced, expected);
    });
}

#[test]
fn a_duration_that_stays_unknown_is_charged_as_observed_if_that_is_more() {
    for (known, open, source) in [
        (10, of_unknown_length("other"), Source::Observed),
        (
            10,
            recording("other", RecordingState::Processing, 0),
            Source::Observed,
        ),
        (90, of_unknown_length("other"), Source::Recording),
        (
            10,
            recording("other", RecordingState::Failed, 0),
            Source::Recording,
        ),
    ] {
        on_both(|spec| {
            let mut life = finalizing(spec);
            let recordings = [
                recording("video", RecordingState::Ready, known),
                open.clone(),
            ];
            while life.waiting("remove_ingest").is_none() {
                if life.waiting("poll_recordings").is_some() {
                    life.answer("poll_recordings", Answer::Recordings(recordings.to_vec()));
                }
                life.wait(1);
            }
            life.answer("remove_ingest", Answer::Removed);
            let durable = life.relay.durable();
            let observed = durable.live_seconds(life.now);
            assert!((60..90).contains(&observed), "{observed}");
            let cost = durable.cost.unwrap();
            let expected = match source {
                Source::Observed => observed,
                Source::Recording => known,
            };
            assert_eq!((cost.source, cost.duration_seconds), (source, expected));
            assert!(!life.announced.contains(&Announcement::RecordingMissing));
        });
    }
}

#[test]
fn a_missing_recording_is_announced_searched_for_later_and_charged_as_observed() {
    on_both(|spec| {
        let mut life = finalizing(spec);
        let mut polls = 0;
        while life.waiting("remove_ingest").is_none() {
            if life.waiting("poll_recordings").is_some() {
                life.answer("poll_recordings", Answer::Recordings(Vec::new()));
                polls += 1;
            }
            life.wait(1);
        }
        assert!(polls > 10);
        assert!(matches!(
            life.cleanup_jobs()[..],
            [Cleanup::FindRecordings { .. }]
        ));
        life.answer("remove_ingest", Answer::Removed);
        assert_eq!(
            life.announced[3..],
            [Announcement::RecordingMissing, Announcement::Ended]
        );
        assert_eq!(life.relay.durable().cost.unwrap().source, Source::Observed);

        let cost = life.relay.durable().cost;
        let late = vec![recording("video", RecordingState::Ready, 60)];
        let step = life.handle(Event::LateRecordings(late.clone()));
        assert_eq!(life.announced.last(), Some(&Announcement::RecordingReady));
        assert!(step.actions.is_empty());
        assert_eq!(life.relay.durable().cost, cost, "the row is written once");
        assert!(
            life.handle(Event::LateRecordings(late)).facts.is_empty(),
            "announced once"
        );
    });
}

#[test]
fn recording_timeout_counts_from_the_first_answered_poll() {
    let mut life = finalizing(push());
    for _ in 0..300 {
        if life.waiting("poll_recordings").is_some() {
            life.fail("poll_recordings", Class::Unavailable, false);
        }
        life.wait(1);
    }
    life.wait(20);
    life.answer("poll_recordings", Answer::Recordings(Vec::new()));
    let first = life.now;
    while life.waiting("remove_ingest").is_none() {
        if life.waiting("poll_recordings").is_some() {
            life.answer("poll_recordings", Answer::Recordings(Vec::new()));
        }
        life.wait(1);
    }
    assert!(
        (600..=602).contains(&life.since(first).num_seconds()),
        "{}",
        life.since(first)
    );
}

#[test]
fn a_relay_that_was_never_live_polls_once_and_raises_no_alarm() {
    on_both(|spec| {
        let mut life = Life::awaiting(spec);
        life.handle(Event::Stop);
        life.take_down(&[]);
        assert_eq!(life.phase(), Phase::Ended);
        let polls = life
            .called
            .iter()
            .filter(|c| **c == "poll_recordings")
            .count();
        assert_eq!(polls, 1);
        use Announcement::*;
        assert_eq!(life.announced, [Starting, Stopped, Ended]);
        assert_eq!(life.relay.durable().cost, None);
    });
}

#[test]
fn unwanted_recordings_become_cleanup_jobs_and_are_not_announced() {
    on_both(|mut spec| {
        spec.enable_recording = false;
        let mut life = stopped(spec);
        let recordings = [
            recording("video", RecordingState::Ready, 40),
            recording("other", RecordingState::Processing, 0),
        ];
        life.take_down(&recordings);
        let mut cleanup: Vec<String> = life
            .cleanup_jobs()
            .iter()
            .map(|d| d.target().into_owned())
            .collect();
        cleanup.sort();
        assert_eq!(cleanup, ["other", "video"]);
        assert!(!life.announced.contains(&Announcement::RecordingReady));
        assert!(!life.announced.contains(&Announcement::RecordingMissing));
        assert_eq!(life.relay.durable().cost.unwrap().source, Source::Observed);
    });
}

#[test]
fn a_notification_brings_the_poll_for_recordings_forward() {
    let mut life = finalizing(push());
    life.answer("poll_recordings", Answer::Recordings(Vec::new()));
    life.now += secs(1);
    life.handle(Event::Hint(Hint::RecordingDone));
    assert!(life.waiting("poll_recordings").is_some());
}

#[test]
fn repeated_notifications_bring_a_poll_for_recordings_forward_once_per_poll_interval() {
    let mut life = finalizing(push());
    let mut polls = 0;
    for _ in 0..300 {
        if life.waiting("poll_recordings").is_some() {
            life.answer("poll_recordings", Answer::Recordings(Vec::new()));
            polls += 1;
        }
        life.handle(Event::Hint(Hint::RecordingDone));
        life.now += TimeDelta::milliseconds(100);
        life.handle(Event::Tick);
    }
    assert!((6..=7).contains(&polls), "{polls} in half a minute");
}

#[test]
fn a_recording_is_journaled_when_it_changes_and_not_each_time_it_is_read() {
    let mut life = finalizing(push());
    let processing = || Answer::Recordings(vec![recording("video", RecordingState::Processing, 0)]);
    life.answer("poll_recordings", processing());
    life.wait(20);
    let step = life.answer("poll_recordings", processing());
    assert!(!step.must_be_stored(), "{:?}", step.facts);
}

#[test]
fn a_deleted_recording_is_not_taken_again() {
    let mut spec = push();
    spec.enable_recording = false;
    let mut life = stopped(spec);
    let recordings = vec![recording("video", RecordingState::Ready, 40)];
    life.take_down(&recordings);
    let step = life.handle(Event::LateRecordings(recordings));
    assert_eq!((step.facts, step.ignored), (vec![], None));
}

#[test]
fn late_recordings_are_taken_only_after_the_search_is_over() {
    let mut life = finalizing(push());
    let late = vec![recording("video", RecordingState::Ready, 40)];
    let step = life.handle(Event::LateRecordings(late));
    assert_eq!(step.ignored, Some(Ignored::Inapplicable));
    assert!(!step.must_be_stored());
}

#[test]
fn a_relay_without_recordings_does_not_wait_for_one() {
    on_both(|mut spec| {
        spec.enable_recording = false;
        let mut life = finalizing(spec);
        let step = life.answer("poll_recordings", Answer::Recordings(Vec::new()));
        assert!(step.must_be_stored());
        assert!(life.waiting("remove_ingest").is_some());
    });
}

#[test]
fn the_ingests_own_list_is_requested_only_if_a_recording_may_be_missing() {
    let thorough = |life: &Life| match life.waiting("poll_recordings") {
        Some(Call::PollRecordings { thorough, .. }) => *thorough,
        other => panic!("{other:?}"),
    };
    assert!(!thorough(&finalizing(push())), "the one that was seen");

    let take_down = |life: &mut Life| {
        life.handle(Event::Stop);
        life.answer("stop_egress", Answer::Stopped);
        life.answer("close_ingest", Answer::Closed);
    };
    for playable in [true, false] {
        let mut life = Life::awaiting(push());
        let reading = streaming(Some(playable), (!playable).then_some("video"));
        life.answer("poll_feed", Answer::Feed(reading));
        life.poll();
        assert_eq!(life.phase() == Phase::Live, playable);
        take_down(&mut life);
        assert!(thorough(&life), "none was seen, or it was never live");
    }
}

#[test]
fn a_relay_has_a_cost_if_it_was_live_or_left_a_recording() {
    let mut spec = push();
    spec.timing.recording_timeout = secs(40);
    let mut life = Life::awaiting(spec);
    let reading = streaming(Some(true), None);
    life.answer("poll_feed", Answer::Feed(reading));
    life.poll();
    life.now += secs(1);
    life.handle(Event::Stop);
    life.take_down(&[]);
    let durable = life.relay.durable();
    assert_eq!((durable.phase, durable.recordings.len()), (Phase::Ended, 0));
    let cost = durable.cost.unwrap();
    assert_eq!((cost.source, cost.duration_seconds), (Source::Observed, 1));

    let mut life = Life::awaiting(push());
    life.handle(Event::Stop);
    life.take_down(&[recording("video", RecordingState::Ready, 40)]);
    let durable = life.relay.durable();
    assert_eq!((durable.phase, durable.live_at), (Phase::Ended, None));
    let cost = durable.cost.unwrap();
    assert_eq!(
        (cost.source, cost.duration_seconds),
        (Source::Recording, 40)
    );
}
