//! Random credentials, ids and secrets.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[derive(Debug)]
pub(in crate::sandbox) struct Dice(StdRng);

impl Dice {
    pub(in crate::sandbox) fn new(seed: Option<u64>) -> Self {
        Self(StdRng::seed_from_u64(seed.unwrap_or_else(rand::random)))
    }

    pub(in crate::sandbox) fn hex(&mut self, digits: usize) -> String {
        self.from(b"0123456789abcdef", digits)
    }

    pub(in crate::sandbox) fn word(&mut self, letters: usize) -> String {
        self.from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            letters,
        )
    }

    pub(in crate::sandbox) fn uuid(&mut self) -> String {
        let parts = [8, 4, 4, 4, 12].map(|digits| self.hex(digits));
        parts.join("-")
    }

    pub(in crate::sandbox) fn below(&mut self, end: u32) -> u32 {
        self.0.random_range(0..end.max(1))
    }

    fn from(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .filter_map(|_| alphabet.get(self.0.random_range(0..alphabet.len())))
            .map(|byte| char::from(*byte))
            .collect()
    }
}

pub(in crate::sandbox) struct Credentials {
    pub(in crate::sandbox) account_id: String,
    pub(in crate::sandbox) cloudflare_token: String,
    pub(in crate::sandbox) app_id: String,
    pub(in crate::sandbox) app_certificate: String,
    pub(in crate::sandbox) customer_id: String,
    pub(in crate::sandbox) customer_secret: String,
    pub(in crate::sandbox) live_webhook_secret: String,
    pub(in crate::sandbox) stream_webhook_secret: String,
    pub(in crate::sandbox) agora_webhook_secret: String,
    pub(in crate::sandbox) mux_environment: String,
    pub(in crate::sandbox) mux_token_id: String,
    pub(in crate::sandbox) mux_token_secret: String,
    pub(in crate::sandbox) mux_webhook_secret: String,
}

impl Credentials {
    pub(in crate::sandbox) fn draw(dice: &mut Dice) -> Self {
        Self {
            account_id: dice.hex(32),
            cloudflare_token: dice.word(40),
            app_id: dice.hex(32),
            app_certificate: dice.hex(32),
            customer_id: dice.hex(32),
            customer_secret: dice.hex(32),
            live_webhook_secret: dice.word(32),
            stream_webhook_secret: dice.hex(40),
            agora_webhook_secret: dice.word(20),
            mux_environment: dice.word(6),
            mux_token_id: dice.uuid(),
            mux_token_secret: dice.word(75),
            mux_webhook_secret: dice.word(32),
        }
    }
}
