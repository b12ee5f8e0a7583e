use super::*;

const LENGTH: Duration = Duration::from_secs(300);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A window of 100 per 300 s, 20 of them reserved for stops, used by no other process.
fn hundred() -> SlidingWindow {
    SlidingWindow::new(100, LENGTH, 1.0, true)
}

fn spend(window: &mut SlidingWindow, pool: Pool, count: u32, now: Instant) {
    window.take(pool, count);
    window.done(pool, count, now);
}

fn report(remaining: u32) -> Option<QuotaReport> {
    Some(QuotaReport {
        remaining,
        quota: None,
    })
}

#[test]
fn a_share_is_rounded_down_but_is_at_least_one() {
    assert_eq!(part(1200, 0.8), 960);
    assert_eq!(part(100, 0.29), 29);
    assert_eq!(part(10, 0.55), 5);
    assert_eq!(part(3, 0.1), 1);
    assert_eq!(part(0, 0.5), 1);
    assert_eq!(part(10, 7.0), 10);
    assert_eq!(part(u32::MAX, 1.0), u32::MAX);
}

#[test]
fn a_fifth_is_kept_for_stops() {
    let now = Instant::now();
    let mut window = hundred();
    spend(&mut window, Pool::Rest, 80, now);
    assert!(!window.fits(Pool::Rest, 1, now));
    assert!(window.fits_reserve(20, now));
    assert!(!window.fits_reserve(21, now));
    assert!(window.fits(Pool::Stop, 20, now));
    assert!(!window.fits(Pool::Stop, 21, now));
}

#[test]
fn stops_beyond_their_fifth_use_the_rest() {
    let now = Instant::now();
    let mut window = hundred();
    spend(&mut window, Pool::Stop, 20, now);
    assert!(window.fits(Pool::Rest, 80, now));
    spend(&mut window, Pool::Stop, 30, now);
    assert!(window.fits(Pool::Rest, 50, now));
    assert!(!window.fits(Pool::Rest, 51, now));
}

#[test]
fn a_call_counts_until_a_whole_window_after_its_answer() {
    let start = Instant::now();
    let mut window = hundred();
    window.take(Pool::Rest, 80);
    assert!(!window.fits(Pool::Rest, 1, start + 2 * LENGTH));
    let home = start + 2 * LENGTH;
    window.done(Pool::Rest, 80, home);
    assert!(!window.fits(Pool::Rest, 1, home + LENGTH - Duration::from_nanos(1)));
    assert!(window.fits(Pool::Rest, 80, home + LENGTH));
    assert_eq!(window.used(home + LENGTH), 0);
}

#[test]
fn a_returned_permit_counts_no_longer() {
    let now = Instant::now();
    let mut window = hundred();
    window.take(Pool::Rest, 80);
    window.give_back(Pool::Rest, 1);
    assert!(window.fits(Pool::Rest, 1, now));
    assert!(!window.fits(Pool::Rest, 2, now));
}

#[test]
fn a_request_above_the_capacity_counts_in_the_following_windows_too() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(1, seconds(1), 1.0, true);
    assert!(window.fits(Pool::Rest, 2, now));
    spend(&mut window, Pool::Rest, 2, now);
    assert!(!window.fits(Pool::Rest, 1, now + seconds(1)));
    assert!(window.fits(Pool::Rest, 1, now + seconds(2)));
}

#[test]
fn no_permit_is_granted_during_a_pause_and_a_shorter_one_does_not_end_it() {
    let now = Instant::now();
    let mut window = hundred();
    window.pause(now, seconds(60));
    window.pause(now, seconds(5));
    assert!(!window.fits(Pool::Stop, 1, now + seconds(59)));
    assert_eq!(window.paused_for(now + seconds(50)), Some(seconds(10)));
    assert_eq!(window.earliest(Pool::Rest, 1, now), Some(now + seconds(60)));
    assert!(window.fits(Pool::Stop, 1, now + seconds(60)));
    assert_eq!(window.paused_for(now + seconds(60)), None);
    window.pause(now, Duration::MAX);
    assert_eq!(window.paused_for(now), Some(MAX_WAIT));
}

#[test]
fn the_earliest_time_is_when_enough_uses_have_left_the_window() {
    let now = Instant::now();
    let mut window = hundred();
    spend(&mut window, Pool::Rest, 50, now);
    spend(&mut window, Pool::Rest, 30, now + seconds(10));
    let later = now + seconds(20);
    assert_eq!(window.earliest(Pool::Stop, 20, later), Some(later));
    assert_eq!(window.earliest(Pool::Rest, 50, later), Some(now + LENGTH));
    assert_eq!(
        window.earliest(Pool::Rest, 51, later),
        Some(now + seconds(10) + LENGTH)
    );
    assert_eq!(
        window.earliest(Pool::Rest, 81, later),
        Some(now + LENGTH + LENGTH),
        "the 81st goes a window after the first at the earliest"
    );
}

#[test]
fn a_new_process_makes_one_call_alone_until_its_answer_tells_what_was_used() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(1200, LENGTH, 0.8, false);
    assert!(window.fits(Pool::Rest, 1, now));
    window.take(Pool::Rest, 1);
    assert!(!window.fits(Pool::Stop, 1, now));
    assert_eq!(window.earliest(Pool::Rest, 1, now), None);
    window.done(Pool::Rest, 1, now);
    assert!(window.observe(now, now, report(300)));
    assert_eq!(window.used(now), 900);
    assert!(window.fits(Pool::Stop, 60, now));
    assert!(!window.fits(Pool::Stop, 61, now));
    assert!(!window.fits(Pool::Rest, 1, now));
    assert!(window.fits(Pool::Rest, 768, now + LENGTH));
}

#[test]
fn after_a_lost_first_call_the_next_goes_alone_too() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(1200, LENGTH, 0.8, false);
    window.take(Pool::Rest, 1);
    window.done(Pool::Rest, 1, now);
    assert!(window.fits(Pool::Rest, 1, now));
    window.take(Pool::Rest, 1);
    assert!(!window.fits(Pool::Rest, 1, now));
}

#[test]
fn an_answer_without_the_header_frees_the_whole_budget() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(1200, LENGTH, 0.8, false);
    spend(&mut window, Pool::Rest, 1, now);
    assert!(window.observe(now, now, None));
    assert!(window.fits(Pool::Rest, 767, now));
    assert!(!window.fits(Pool::Rest, 768, now));
}

#[test]
fn a_report_counts_only_if_it_leaves_less_than_we_know_of() {
    let now = Instant::now();
    let mut window = hundred();
    spend(&mut window, Pool::Rest, 40, now);
    assert!(!window.observe(now, now, report(90)));
    assert_eq!(window.used(now), 40);
    assert!(!window.observe(now, now, report(30)));
    assert_eq!(window.used(now), 70);
}

#[test]
fn calls_that_left_the_window_before_an_answer_arrived_are_not_counted_as_others() {
    let start = Instant::now();
    let mut window = hundred();
    spend(&mut window, Pool::Rest, 40, start);
    let sent = start + LENGTH - seconds(1);
    window.take(Pool::Rest, 1);
    let home = start + LENGTH + seconds(1);
    window.done(Pool::Rest, 1, home);
    window.observe(sent, home, report(59));
    assert_eq!(window.used(home), 1);
}

#[test]
fn a_quota_the_vendor_names_lowers_ours_but_does_not_raise_it() {
    let now = Instant::now();
    let mut window = hundred();
    let reported = |quota, remaining| {
        Some(QuotaReport {
            remaining,
            quota: Some(quota),
        })
    };
    window.observe(now, now, reported(50, 50));
    assert_eq!(window.allowed(), 50);
    assert_eq!(window.used(now), 0);
    assert!(window.observe(now, now, reported(5000, 4990)));
    assert_eq!(window.allowed(), 100);
    assert_eq!(window.used(now), 10);
}

#[test]
fn more_left_than_our_quota_means_that_nothing_was_used() {
    let now = Instant::now();
    let mut window = hundred();
    window.observe(now, now, report(4000));
    assert_eq!(window.used(now), 0);
}

#[test]
fn a_share_limits_this_process_and_reserves_a_fifth_of_itself_for_stops() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(100, LENGTH, 1.0, true);
    window.set_own(10);
    assert_eq!(window.capacity(Pool::Stop), 10);
    assert!(window.fits(Pool::Rest, 8, now));
    spend(&mut window, Pool::Rest, 8, now);
    assert!(!window.fits(Pool::Rest, 1, now));
    assert!(window.fits(Pool::Stop, 2, now));
    // Uses under a larger share count.
    window.set_own(4);
    assert!(!window.fits(Pool::Stop, 1, now));
    assert_eq!(window.used_by_us(now), 8);
    assert!(window.fits(Pool::Stop, 4, now + LENGTH));
}

#[test]
fn use_by_others_counts_against_the_quota_and_not_against_a_share() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(100, LENGTH, 1.0, true);
    window.set_own(50);
    let report = QuotaReport {
        remaining: 60,
        quota: None,
    };
    window.observe(now, now, Some(report));
    assert_eq!(window.used_by_us(now), 0);
    assert!(window.fits(Pool::Stop, 50, now));
    let report = QuotaReport {
        remaining: 30,
        quota: None,
    };
    window.observe(now, now, Some(report));
    assert!(window.fits(Pool::Stop, 30, now));
    assert!(!window.fits(Pool::Stop, 31, now));
}

#[test]
fn a_share_that_grew_is_used_once_the_vendor_has_reported_what_is_left() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(100, LENGTH, 1.0, false);
    window.set_own(10);
    let report = QuotaReport {
        remaining: 100,
        quota: None,
    };
    window.observe(now, now, Some(report));
    window.set_own(50);
    assert!(window.fits(Pool::Rest, 1, now));
    window.take(Pool::Rest, 1);
    assert!(!window.fits(Pool::Rest, 1, now), "one goes alone");
    window.done(Pool::Rest, 1, now);
    let report = QuotaReport {
        remaining: 20,
        quota: None,
    };
    window.observe(now, now, Some(report));
    assert!(window.fits(Pool::Stop, 20, now));
    assert!(!window.fits(Pool::Stop, 21, now), "what the other has used");
}

#[test]
fn with_a_share_of_zero_nothing_is_served_and_no_time_is_named() {
    let now = Instant::now();
    let mut window = SlidingWindow::new(100, LENGTH, 1.0, true);
    window.set_own(0);
    assert!(!window.fits(Pool::Stop, 1, now));
    assert_eq!(window.earliest(Pool::Stop, 1, now), None);
}
