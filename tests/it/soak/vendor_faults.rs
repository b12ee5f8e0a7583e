//! Random faults of the vendors.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use strum::IntoEnumIterator as _;
use tokio::time::Instant;

/// Seconds between two faults, by the wall clock.
const EVERY: std::ops::Range<f64> = 0.3..2.0;
/// The part of the run that has faults; then relays may end undisturbed.
const UNTIL: f64 = 0.95;

pub(super) struct VendorFaults<'a> {
    vendors: &'a SimulatedVendors,
    speed: f64,
    rng: StdRng,
}

impl<'a> VendorFaults<'a> {
    pub(super) fn new(vendors: &'a SimulatedVendors, speed: f64, rng: &mut StdRng) -> Self {
        Self {
            vendors,
            speed,
            rng: StdRng::seed_from_u64(rng.random()),
        }
    }

    pub(super) async fn run(mut self, duration: Duration) {
        let over = Instant::now() + duration.mul_f64(UNTIL);
        loop {
            let next = Instant::now() + Duration::from_secs_f64(self.rng.random_range(EVERY));
            tokio::time::sleep_until(next.min(over)).await;
            if next >= over {
                return;
            }
            match self.rng.random_range(0..100) {
                0..80 => self.fail_a_call(),
                80..88 => self.kill_an_egress(),
                88..97 => self.drop_a_feed(),
                _ => self.outage().await,
            }
        }
    }

    fn fail_a_call(&mut self) {
        let calls: Vec<VendorCall> = VendorCall::iter().filter(|call| is_made(*call)).collect();
        let Some(call) = calls.get(self.rng.random_range(0..calls.len())).copied() else {
            return;
        };
        let kind = match self.rng.random_range(0..9) {
            0 => FaultKind::Status(500, None),
            1 => FaultKind::Status(503, None),
            2 => FaultKind::Status(429, Some(1)),
            3 => FaultKind::Refuse,
            4 => FaultKind::CutAfter,
            5 => FaultKind::Hang,
            6 => FaultKind::NotJson,
            7 => FaultKind::Page(200),
            // An egress that moves is not there for a while (`agora.md §8.1`).
            _ if asks_for_an_egress(call) => FaultKind::NotFoundFor(self.simulated(20..90)),
            _ => FaultKind::StatusAfter(503),
        };
        self.vendors.fault(VendorFault {
            call,
            kind,
            times: Some(self.rng.random_range(1..=3)),
            after: 0,
        });
    }

    fn kill_an_egress(&mut self) {
        let back = self.rng.random_bool(0.5).then(|| self.simulated(30..180));
        if let Some(egress) = self.an_egress() {
            self.vendors.kill(&egress, back);
        }
    }

    fn drop_a_feed(&mut self) {
        let pause = self.simulated(30..600);
        if let Some(egress) = self.an_egress() {
            self.vendors.drop_feed(&egress, pause);
        }
    }

    async fn outage(&mut self) {
        let vendor = if self.rng.random_bool(0.5) {
            "cloudflare."
        } else {
            "agora."
        };
        for call in VendorCall::iter().filter(|call| call.name().starts_with(vendor)) {
            self.vendors
                .fault(VendorFault::forever(call, FaultKind::Status(503, None)));
        }
        let outage = Duration::from_secs_f64(self.rng.random_range(1.0..6.0));
        tokio::time::sleep(outage).await;
        self.vendors.clear_faults();
    }

    fn an_egress(&mut self) -> Option<String> {
        let mut publishing = self.vendors.state().egresses;
        publishing.retain(|egress| egress.publishing);
        let place = self.rng.random_range(0..publishing.len().max(1));
        publishing.into_iter().nth(place).map(|egress| egress.id)
    }

    /// On the vendors' clock; at least a second by the wall clock, so that the service can notice it.
    fn simulated(&mut self, seconds: std::ops::Range<u64>) -> Duration {
        let span = Duration::from_secs(self.rng.random_range(seconds));
        span.max(Duration::from_secs_f64(self.speed))
    }
}

/// Whether a running service makes this call: its relays are on Cloudflare.
fn is_made(call: VendorCall) -> bool {
    let name = call.name();
    let rooms = ["cloudflare.", "customer.", "agora."];
    rooms.iter().any(|room| name.starts_with(room))
        && !["token.verify", "webhook", "alerting", "storage_usage"]
            .iter()
            .any(|setup| name.contains(setup))
}

fn asks_for_an_egress(call: VendorCall) -> bool {
    [
        VendorCall::Query,
        VendorCall::Stop,
        VendorCall::ConverterGet,
        VendorCall::ConverterDelete,
    ]
    .contains(&call)
}
