//! Random ids and secrets.

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

    pub(in crate::sandbox) fn word(&mut self, length: usize) -> String {
        self.from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            length,
        )
    }

    pub(in crate::sandbox) fn digits(&mut self, digits: usize) -> String {
        self.from(b"123456789", digits)
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
