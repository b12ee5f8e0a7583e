//! The relay's spec and its faults, drawn from its seed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use relaykeeper::relay::{
    Class, EgressSpec, IngestOwner, Latency, Namespace, PlatformName, Prices, Spec, Timing,
};
use uuid::Uuid;

use super::dice::Dice;
use super::queue::Fate;
use super::vendors::{Ms, VendorFaults};
use crate::egresses;
use crate::platforms::Platform;

pub const START: Ms = 1_700_000_000_000;

/// Probabilities of faults, per mille.
#[derive(Debug, Clone, Copy)]
pub struct FaultRates {
    pub faults: u64,
    pub crashes: u64,
    pub hints: u64,
    pub page: bool,
    pub jumps: u64,
}

pub fn clock(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

pub fn spec(dice: &mut Dice, platform: &Platform) -> Spec {
    let secs = Duration::from_secs;
    let egress = egress(dice);
    let requested_at = clock(i64::try_from(START).unwrap());
    let query_interval = secs(match egress.capabilities.prepare {
        Some(_) => 120,
        None => 15,
    });
    Spec {
        relay_id: Uuid::from_u128(u128::from(dice.draw())),
        namespace: Namespace {
            deployment: "shop".into(),
            database: "0a1b2c3d".into(),
        },
        channel_id: 42,
        channel_name: "show".into(),
        seller_uid: 7,
        enable_recording: dice.chance(800),
        delete_recording_after_days: Some(30),
        keep_ingest: dice.chance(200),
        ingest_owner: IngestOwner::Relay,
        latency: Latency::Normal,
        platform: PlatformName::new("platform"),
        capabilities: platform.capabilities.clone(),
        egress,
        timing: Timing {
            poll_interval: secs(5),
            provisioning_timeout: secs(120),
            live_timeout: secs(dice.one_of(&[60, 120])),
            live_check_interval: secs(dice.one_of(&[5, 30])),
            reconnect_window: secs(dice.one_of(&[20, 60])),
            feed_timeout: secs(dice.one_of(&[60, 180])),
            max_duration: secs(dice.between(60, 600)),
            recording_timeout: secs(dice.one_of(&[60, 600])),
            recordings_interval: secs(20),
            query_interval,
            not_found_backoff: [5, 10, 15, 30, 60].into_iter().map(secs).collect(),
        },
        prices: Prices {
            stored: 5_000_000,
            egress: 14_000_000,
        },
        requested_at,
        egress_not_before: dice
            .chance(150)
            .then(|| requested_at + Duration::from_secs(10)),
    }
}

/// A backend of today, or one with any capabilities.
fn egress(dice: &mut Dice) -> EgressSpec {
    let mut egress = if dice.chance(500) {
        egresses::two_steps()
    } else {
        egresses::by_name()
    };
    if dice.chance(300) {
        let capabilities = &mut egress.capabilities;
        capabilities.updates = dice.chance(500);
        match capabilities.prepare {
            // Its limit ends an egress that no notification names.
            Some(_) => capabilities.max_hours = Some(dice.one_of(&[1, 2])),
            None => capabilities.max_hours = dice.chance(500).then_some(1),
        }
        if let Some(prepare) = &mut capabilities.prepare {
            prepare.fresh = Duration::from_millis(dice.one_of(&[800, 1_500, 60_000]));
            prepare.life = Duration::from_secs(dice.one_of(&[60, 270]));
            prepare.starts = dice.one_of(&[1, 3, 10]);
        }
    }
    egress
}

/// When the seller joins, leaves, joins …
pub fn seller(dice: &mut Dice) -> Vec<Ms> {
    let mut edges = Vec::new();
    if dice.chance(40) {
        return edges;
    }
    let mut at = START
        + if dice.chance(800) {
            dice.between(0, 15_000)
        } else {
            dice.between(0, 150_000)
        };
    edges.push(at);
    while dice.chance(450) && edges.len() < 7 {
        at += dice.between(5_000, 120_000);
        edges.push(at);
        if dice.chance(300) {
            break;
        }
        at += dice.between(2_000, 80_000);
        edges.push(at);
    }
    edges
}

impl FaultRates {
    pub fn draw(dice: &mut Dice) -> Self {
        let (faults, crashes, jumps) = match dice.between(0, 100) {
            0..35 => (3, 2, 0),
            35..75 => (50, 15, 1),
            75..92 => (250, 60, 3),
            _ => (30, 150, 5),
        };
        Self {
            faults,
            crashes,
            jumps,
            hints: dice.one_of(&[0, 0, 700, 1000]),
            page: dice.chance(300),
        }
    }
}

pub fn vendor_faults(dice: &mut Dice) -> VendorFaults {
    VendorFaults {
        moves: dice.one_of(&[0, 100, 600]),
        exits: dice.one_of(&[0, 50, 500]),
        cuts: dice.one_of(&[0, 50, 300]),
        fails: dice.one_of(&[0, 50, 300]),
        bad_recordings: dice.one_of(&[0, 50]),
    }
}

/// A time during which every call fails, and how.
pub fn outage(dice: &mut Dice) -> Option<(Ms, Ms, Fate)> {
    if !dice.chance(80) {
        return None;
    }
    let from = START + dice.between(0, 200_000);
    let long = dice.one_of(&[10_000, 100_000, 400_000, 2_000_000]);
    let fate = dice.one_of(&[
        Fate::Lost,
        Fate::Refused(Class::Unavailable),
        Fate::Refused(Class::Unauthorized),
        Fate::Refused(Class::Quota),
    ]);
    Some((from, from + long, fate))
}

/// One kind of call that mostly fails, always in the same way.
pub fn failing_call(dice: &mut Dice) -> Option<(&'static str, Fate)> {
    let kinds = [
        "create_ingest",
        "find_ingest",
        "prepare_egress",
        "start_egress",
        "renew_ingest_key",
        "stop_egress",
        "close_ingest",
        "remove_ingest",
        "poll_feed",
        "poll_hosts",
        "poll_egress",
        "poll_recordings",
    ];
    let fates = [
        Fate::AnswerLost,
        Fate::AnswerLost,
        Fate::Lost,
        Fate::Refused(Class::Unavailable),
        Fate::Refused(Class::Rejected),
    ];
    dice.chance(200)
        .then(|| (dice.one_of(&kinds), dice.one_of(&fates)))
}

/// The same, or a call that only kept ingests need. Drawn from the seed, so that the relays of other seeds stay the same.
pub fn of_kept(seed: u64, call: &'static str) -> &'static str {
    let kinds = [call, "claim_ingest", "end_broadcast", "renew_ingest_key"];
    Dice::new(seed ^ 0x6661_696c).one_of(&kinds)
}
