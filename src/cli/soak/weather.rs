//! What goes wrong at the vendors: a call now and then, a whole vendor for a while, recorders that die, come back elsewhere
//! or lose their feed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relaykeeper::sandbox::{Call, Fault, FaultKind, Vendors};
use strum::IntoEnumIterator as _;
use tokio::time::Instant;

/// Between two of them, by the wall clock.
const EVERY: std::ops::Range<f64> = 0.3..2.0;
/// How much of the day has weather; then everybody may go home.
const UNTIL: f64 = 0.95;

/// The vendors' troubles.
pub(super) struct Weather<'a> {
    vendors: &'a Vendors,
    speed: f64,
    dice: StdRng,
}

impl<'a> Weather<'a> {
    pub(super) fn new(vendors: &'a Vendors, speed: f64, dice: &mut StdRng) -> Self {
        Self {
            vendors,
            speed,
            dice: StdRng::seed_from_u64(dice.random()),
        }
    }

    /// Blows until the day is nearly over.
    pub(super) async fn blow(mut self, day: Duration) {
        let over = Instant::now() + day.mul_f64(UNTIL);
        loop {
            let next = Instant::now() + Duration::from_secs_f64(self.dice.random_range(EVERY));
            tokio::time::sleep_until(next.min(over)).await;
            if next >= over {
                return;
            }
            match self.dice.random_range(0..100) {
                0..80 => self.a_call(),
                80..88 => self.a_recorder_dies(),
                88..97 => self.a_feed_is_lost(),
                _ => self.an_outage().await,
            }
        }
    }

    /// One call goes wrong, up to three times.
    fn a_call(&mut self) {
        let calls: Vec<Call> = Call::iter().filter(|call| is_made(*call)).collect();
        let Some(call) = calls.get(self.dice.random_range(0..calls.len())).copied() else {
            return;
        };
        let kind = match self.dice.random_range(0..9) {
            0 => FaultKind::Status(500, None),
            1 => FaultKind::Status(503, None),
            2 => FaultKind::Status(429, Some(1)),
            3 => FaultKind::Refuse,
            4 => FaultKind::CutAfter,
            5 => FaultKind::Hang,
            6 => FaultKind::NotJson,
            7 => FaultKind::Page(200),
            // A recorder that moves is not there for a while (`agora.md §8.1`).
            _ if asks_for_a_recorder(call) => FaultKind::NotFoundFor(self.simulated(20..90)),
            _ => FaultKind::StatusAfter(503),
        };
        self.vendors.fault(Fault {
            call,
            kind,
            times: Some(self.dice.random_range(1..=3)),
            after: 0,
        });
    }

    fn a_recorder_dies(&mut self) {
        let back = self.dice.random_bool(0.5).then(|| self.simulated(30..180));
        if let Some(recorder) = self.a_recorder() {
            self.vendors.kill(&recorder, back);
        }
    }

    fn a_feed_is_lost(&mut self) {
        let pause = self.simulated(30..600);
        if let Some(recorder) = self.a_recorder() {
            self.vendors.drop_feed(&recorder, pause);
        }
    }

    /// Nothing of one vendor's answers for a while.
    async fn an_outage(&mut self) {
        let vendor = if self.dice.random_bool(0.5) {
            "cloudflare."
        } else {
            "agora."
        };
        for call in Call::iter().filter(|call| call.name().starts_with(vendor)) {
            self.vendors
                .fault(Fault::forever(call, FaultKind::Status(503, None)));
        }
        let lasts = Duration::from_secs_f64(self.dice.random_range(1.0..6.0));
        tokio::time::sleep(lasts).await;
        self.vendors.clear_faults();
    }

    /// One that publishes now.
    fn a_recorder(&mut self) -> Option<String> {
        let mut publishing = self.vendors.state().recorders;
        publishing.retain(|recorder| recorder.publishing);
        let place = self.dice.random_range(0..publishing.len().max(1));
        publishing
            .into_iter()
            .nth(place)
            .map(|recorder| recorder.id)
    }

    /// A span of so many seconds at most at the vendors, but long enough to be noticed here.
    fn simulated(&mut self, seconds: std::ops::Range<u64>) -> Duration {
        let span = Duration::from_secs(self.dice.random_range(seconds));
        span.max(Duration::from_secs_f64(self.speed))
    }
}

/// Whether a service that drives relays makes it: a fault of another would wait forever.
fn is_made(call: Call) -> bool {
    let name = call.name();
    !["token.verify", "webhook", "alerting", "storage_usage"]
        .iter()
        .any(|setup| name.contains(setup))
}

/// Whether it names a recorder that may be moving.
fn asks_for_a_recorder(call: Call) -> bool {
    [
        Call::Query,
        Call::Stop,
        Call::ConverterGet,
        Call::ConverterDelete,
    ]
    .contains(&call)
}
