//! Stride scheduling with ageing.
//!
//! Each priority is a first-in first-out class. Each service advances its pass by 1/weight, and the lowest pass is
//! next: no class starves, and unused shares go to the others.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Priority;

const CLASSES: usize = 5;

/// The stride of weight 1.
const STRIDE: u64 = 1 << 20;

/// A class gains one weight per this much waiting of its head, up to [`MAX_AGED_WEIGHT`].
const AGEING: Duration = Duration::from_secs(60);

/// Ageing gives at most the weight of a start.
const MAX_AGED_WEIGHT: u32 = 4;

/// A lower id was queued earlier.
pub(super) type WaiterId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) id: WaiterId,
    pub(super) priority: Priority,
    pub(super) permits: u32,
    pub(super) since: Instant,
}

#[derive(Debug, Default)]
struct ClassQueue {
    waiting: BTreeMap<WaiterId, Waiter>,
    permits: u64,
    pass: u64,
}

#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    queues: [ClassQueue; CLASSES],
    /// The highest pass served so far: a class that was empty starts there and saves up no shares.
    pass: u64,
}

impl WaitQueue {
    pub(super) fn push(&mut self, waiter: Waiter) {
        let pass = self.pass;
        let queue = self.queue(waiter.priority);
        if queue.waiting.is_empty() {
            queue.pass = queue.pass.max(pass);
        }
        queue.permits += u64::from(waiter.permits);
        queue.waiting.insert(waiter.id, waiter);
    }

    pub(super) fn remove(&mut self, priority: Priority, id: WaiterId) -> Option<Waiter> {
        let queue = self.queue(priority);
        let waiter = queue.waiting.remove(&id)?;
        queue.permits -= u64::from(waiter.permits);
        Some(waiter)
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting.len()).sum()
    }

    pub(super) fn permits(&self, priority: Priority) -> u64 {
        self.queues
            .get(index(priority))
            .map_or(0, |queue| queue.permits)
    }

    pub(super) fn heads(&self) -> [Option<WaiterId>; CLASSES] {
        let mut heads = [None; CLASSES];
        for (head, queue) in heads.iter_mut().zip(&self.queues) {
            *head = queue.waiting.keys().next().copied();
        }
        heads
    }

    pub(super) fn head(&self, priority: Priority) -> Option<Waiter> {
        let queue = self.queues.get(index(priority))?;
        queue.waiting.values().next().copied()
    }

    pub(super) fn next(&self) -> Option<Waiter> {
        self.queues
            .iter()
            .filter_map(|queue| Some((queue.pass, *queue.waiting.values().next()?)))
            .min_by_key(|(pass, waiter)| (*pass, index(waiter.priority)))
            .map(|(_, waiter)| waiter)
    }

    pub(super) fn serve(&mut self, waiter: Waiter, now: Instant) {
        let queue = self.queue(waiter.priority);
        let pass = queue.pass;
        queue.pass += STRIDE * u64::from(waiter.permits) / u64::from(weight(waiter, now));
        self.pass = self.pass.max(pass);
        self.remove(waiter.priority, waiter.id);
    }

    fn queue(&mut self, priority: Priority) -> &mut ClassQueue {
        let [stop, start, recover, finalize, janitor] = &mut self.queues;
        match priority {
            Priority::Stop => stop,
            Priority::Start => start,
            Priority::Recover => recover,
            Priority::Finalize => finalize,
            Priority::Janitor => janitor,
        }
    }
}

fn index(priority: Priority) -> usize {
    match priority {
        Priority::Stop => 0,
        Priority::Start => 1,
        Priority::Recover => 2,
        Priority::Finalize => 3,
        Priority::Janitor => 4,
    }
}

/// The weight of the class that has this waiter at its head.
fn weight(waiter: Waiter, now: Instant) -> u32 {
    let weight = match waiter.priority {
        // Beyond their reserve, stops still save money.
        Priority::Stop => 8,
        Priority::Start => 4,
        Priority::Recover | Priority::Finalize => 2,
        Priority::Janitor => 1,
    };
    let waited = now.saturating_duration_since(waiter.since).as_secs() / AGEING.as_secs();
    let aged = u32::try_from(waited).unwrap_or(u32::MAX);
    weight.max(MAX_AGED_WEIGHT.min(aged.saturating_add(weight)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(id: WaiterId, priority: Priority, since: Instant) -> Waiter {
        Waiter {
            id,
            priority,
            permits: 1,
            since,
        }
    }

    fn served(queue: &mut WaitQueue, turns: usize, now: Instant) -> Vec<Priority> {
        let mut order = Vec::new();
        for _ in 0..turns {
            let Some(next) = queue.next() else { break };
            queue.serve(next, now);
            order.push(next.priority);
        }
        order
    }

    fn count(order: &[Priority], priority: Priority) -> usize {
        order.iter().filter(|other| **other == priority).count()
    }

    #[test]
    fn shares_follow_the_weights() {
        let now = Instant::now();
        let mut queue = WaitQueue::default();
        let kinds = [
            Priority::Start,
            Priority::Recover,
            Priority::Finalize,
            Priority::Janitor,
        ];
        for (id, priority) in (0..4000).zip(kinds.into_iter().cycle()) {
            queue.push(waiter(id, priority, now));
        }
        let order = served(&mut queue, 900, now);
        assert_eq!(count(&order, Priority::Start), 400);
        assert_eq!(count(&order, Priority::Recover), 200);
        assert_eq!(count(&order, Priority::Finalize), 200);
        assert_eq!(count(&order, Priority::Janitor), 100);
    }

    #[test]
    fn one_priority_is_served_first_in_first_out() {
        let now = Instant::now();
        let mut queue = WaitQueue::default();
        for id in [3, 5, 9] {
            queue.push(waiter(id, Priority::Start, now));
        }
        assert_eq!(queue.next().map(|waiter| waiter.id), Some(3));
        queue.remove(Priority::Start, 3);
        assert_eq!(queue.next().map(|waiter| waiter.id), Some(5));
    }

    #[test]
    fn an_idle_class_saves_up_no_shares() {
        let now = Instant::now();
        let mut queue = WaitQueue::default();
        for id in 0..2000 {
            queue.push(waiter(id, Priority::Finalize, now));
        }
        served(&mut queue, 1000, now);
        for id in 2000..3000 {
            queue.push(waiter(id, Priority::Start, now));
        }
        let order = served(&mut queue, 300, now);
        assert!((199..=201).contains(&count(&order, Priority::Start)));
    }

    #[test]
    fn after_minutes_of_waiting_a_class_weighs_as_much_as_a_start() {
        let now = Instant::now();
        let later = now + 3 * AGEING;
        let mut queue = WaitQueue::default();
        for id in 0..1000 {
            queue.push(waiter(id, Priority::Janitor, now));
            queue.push(waiter(id + 1000, Priority::Start, later));
        }
        let order = served(&mut queue, 100, later);
        assert_eq!(count(&order, Priority::Janitor), 50);
    }
}
