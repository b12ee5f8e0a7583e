//! Sellers in the channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug)]
pub(in crate::sandbox) struct Sellers {
    present: bool,
    uid: u32,
    channels: HashMap<String, ChannelHosts>,
}

#[derive(Debug, Default)]
struct ChannelHosts {
    /// Sellers named by a control call, and whether they are present.
    by_uid: BTreeMap<u32, bool>,
    /// Presence of the others, if a control call set it.
    rest: Option<bool>,
    /// Uids that a converter or a page gave.
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

    /// Without a uid: for all sellers. True if the hosts changed.
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
                entry.by_uid.insert(uid, present);
            }
            None => {
                entry.by_uid.clear();
                entry.rest = Some(present);
            }
        }
        before != self.hosts(channel)
    }

    pub(in crate::sandbox) fn name(&mut self, channel: &str, uid: u32) {
        self.channels
            .entry(channel.to_owned())
            .or_default()
            .named
            .insert(uid);
    }

    pub(in crate::sandbox) fn hosts(&self, channel: &str) -> Vec<u32> {
        let Some(entry) = self.channels.get(channel) else {
            return if self.present {
                vec![self.uid]
            } else {
                Vec::new()
            };
        };
        let mut hosts: BTreeSet<u32> = entry
            .by_uid
            .iter()
            .filter(|(_, present)| **present)
            .map(|(uid, _)| *uid)
            .collect();
        if entry.rest.unwrap_or(self.present) {
            if entry.named.is_empty() && entry.by_uid.is_empty() {
                hosts.insert(self.uid);
            }
            hosts.extend(
                entry
                    .named
                    .iter()
                    .filter(|uid| !entry.by_uid.contains_key(uid)),
            );
        }
        hosts.into_iter().collect()
    }

    /// Whether one of these is in the channel; empty: any seller.
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
