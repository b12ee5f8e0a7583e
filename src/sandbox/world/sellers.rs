//! Who is in the channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug)]
pub(in crate::sandbox) struct Sellers {
    present: bool,
    uid: u32,
    channels: HashMap<String, ChannelHosts>,
}

#[derive(Debug, Default)]
struct ChannelHosts {
    /// Sellers somebody spoke of.
    told: BTreeMap<u32, bool>,
    /// What holds for the others.
    rest: Option<bool>,
    /// Uids that a converter or a page named.
    named: BTreeSet<u32>,
    sequence: u64,
}

impl Sellers {
    pub(in crate::sandbox) fn new(present: bool, uid: u32) -> Self {
        Self {
            present,
            uid,
            channels: HashMap::new(),
        }
    }

    /// A seller (or, without a uid, everybody nobody spoke of) comes or goes. True when this changed something.
    pub(in crate::sandbox) fn set(
        &mut self,
        channel: &str,
        uid: Option<u32>,
        present: bool,
    ) -> bool {
        let before = self.hosts(channel);
        let entry = self.channels.entry(channel.to_owned()).or_default();
        match uid {
            Some(uid) => {
                entry.told.insert(uid, present);
            }
            None => {
                entry.told.clear();
                entry.rest = Some(present);
            }
        }
        before != self.hosts(channel)
    }

    /// A converter or a page spoke of this seller.
    pub(in crate::sandbox) fn name(&mut self, channel: &str, uid: u32) {
        self.channels
            .entry(channel.to_owned())
            .or_default()
            .named
            .insert(uid);
    }

    /// The sellers in the channel.
    pub(in crate::sandbox) fn hosts(&self, channel: &str) -> Vec<u32> {
        let Some(entry) = self.channels.get(channel) else {
            return if self.present {
                vec![self.uid]
            } else {
                Vec::new()
            };
        };
        let mut hosts: BTreeSet<u32> = entry
            .told
            .iter()
            .filter(|(_, present)| **present)
            .map(|(uid, _)| *uid)
            .collect();
        if entry.rest.unwrap_or(self.present) {
            if entry.named.is_empty() && entry.told.is_empty() {
                hosts.insert(self.uid);
            }
            hosts.extend(
                entry
                    .named
                    .iter()
                    .filter(|uid| !entry.told.contains_key(uid)),
            );
        }
        hosts.into_iter().collect()
    }

    /// Whether one of these is in the channel; of an empty list: whether anybody is.
    pub(in crate::sandbox) fn any(&self, channel: &str, uids: &[u32]) -> bool {
        let hosts = self.hosts(channel);
        if uids.is_empty() {
            !hosts.is_empty()
        } else {
            hosts.iter().any(|host| uids.contains(host))
        }
    }

    pub(in crate::sandbox) fn next_sequence(&mut self, channel: &str) -> u64 {
        let entry = self.channels.entry(channel.to_owned()).or_default();
        entry.sequence += 1;
        entry.sequence
    }
}
