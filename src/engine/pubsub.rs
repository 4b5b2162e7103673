//! Publish and subscribe: who listens to what, and messages on their way.
//!
//! ```text
//!   subscribers (by slot)    slot 4 ─▶ channels, patterns, shard channels: topic ⇄ number of the subscription
//!   topics (by kind, name)   "news" ─▶ readers: (17, slot 4) (23, slot 9) …
//!   deliveries               #8 "hello" to "news" from reader 23 on, then to "n*" │ #9 … │ #10 …
//! ```
//!
//! Publishing counts who will get the message and queues one delivery, which holds the message once and, per topic,
//! how far it has come. The network layer takes clients from the front ([`Pubsub::next_batch`]): all of a short
//! delivery at once, a long one in slices between which others are served.
//!
//! Promise: nobody can tell a delivery in slices from one at once. Deliveries go out in the order of their publishing.
//! A client gets everything under way before anything of its own runs or is answered ([`Pubsub::catch_up`]), so its
//! messages, replies and subscriptions keep their order; and who comes later is not in the range of a delivery,
//! since numbers of subscriptions only grow.
//!
//! Cost: O(1) to subscribe, to unsubscribe and per listener of a message; O(log n) in what has many listeners. A client
//! that leaves takes all of its subscriptions with it: some at once, many in slices ([`Pubsub::free_slice`]); what is
//! left of them meanwhile is older than the slot's next client and reaches nobody.
use std::collections::{BTreeMap, VecDeque};

use crate::base::block::Block;
use crate::base::hash::KeyHasher;
use crate::base::memory::OutOfMemory;

pub mod letter;
mod readers;
mod topics;

use letter::{Body, By, Letter, Payload};
use topics::Topics;

/// Subscriptions of a client that leaves that end at once.
const LEAVE_AT_ONCE_MAX: usize = 256;
/// Memory of one subscription besides its name, in bytes: a listener in the topic, two entries with the client.
const SUBSCRIPTION_BYTES: usize = 80;

/// What can be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel by its name.
    Channel,
    /// All channels that match a pattern.
    Pattern,
    /// A shard channel, which patterns do not reach.
    Shard,
}

/// All kinds.
pub const KINDS: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];

/// How many subscriptions a client has; kept with its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    counts: [u32; KINDS.len()],
    /// Memory they take.
    pub bytes: usize,
}

impl Subscriptions {
    /// How many of one kind.
    pub fn count(&self, kind: Kind) -> u32 {
        self.counts[kind as usize]
    }

    /// The number that a client is told when it subscribes or unsubscribes: channels and patterns together.
    pub fn told(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Shard => self.count(Kind::Shard),
            Kind::Channel | Kind::Pattern => self.count(Kind::Channel) + self.count(Kind::Pattern),
        }
    }

    /// Whether there are any.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.bytes != 0
    }

    fn add(&mut self, kind: Kind, name: &[u8]) {
        self.counts[kind as usize] += 1;
        self.bytes += SUBSCRIPTION_BYTES + name.len();
    }

    fn remove(&mut self, kind: Kind, name: &[u8]) {
        self.counts[kind as usize] -= 1;
        self.bytes -= SUBSCRIPTION_BYTES + name.len();
    }
}

/// Everything about publish and subscribe.
pub struct Pubsub {
    hasher: KeyHasher,
    topics: [Topics; KINDS.len()],
    /// By the client's slot.
    subscribers: Vec<Option<Box<Subscriber>>>,
    /// Number of the next subscription.
    next_subscription: u64,
    /// In the order of publishing.
    deliveries: VecDeque<Delivery>,
    /// Number of the next delivery.
    next_delivery: u64,
    /// Messages that are still to be put in outputs, by the count taken when they were published.
    backlog: usize,
    /// Clients that are gone, with subscriptions that still stand in topics.
    leaving: Vec<Box<Subscriber>>,
    /// Patterns that match, while publishing.
    matching: Vec<u32>,
}

/// What one client listens to.
#[derive(Default)]
struct Subscriber {
    /// Number of the first subscription that can be its own.
    since: u64,
    /// It has got all deliveries below this number.
    caught_up: u64,
    listens: [Listens; KINDS.len()],
    summary: Subscriptions,
}

/// Topics of one kind that a client listens to.
#[derive(Default)]
struct Listens {
    by_topic: BTreeMap<u32, u64>,
    in_order: BTreeMap<u64, u32>,
}

/// A message under way.
struct Delivery {
    number: u64,
    body: Body,
    targets: Vec<Target>,
    /// The target whose listeners come next.
    at: usize,
}

/// The listeners of one topic, for one message.
struct Target {
    kind: Kind,
    topic: u32,
    by: By,
    /// Number of the first subscription that has not been served.
    from: u64,
    /// Number of the first subscription that came after the message.
    end: u64,
    /// Listeners it had.
    count: usize,
}

impl Pubsub {
    /// Nobody listens to anything; names are hashed with `hasher`.
    pub fn new(hasher: KeyHasher) -> Pubsub {
        Pubsub {
            hasher,
            topics: [Topics::default(), Topics::of_patterns(), Topics::default()],
            subscribers: Vec::new(),
            next_subscription: 1,
            deliveries: VecDeque::new(),
            next_delivery: 1,
            backlog: 0,
            leaving: Vec::new(),
            matching: Vec::new(),
        }
    }

    /// How many channels or patterns somebody listens to.
    pub fn topics(&self, kind: Kind) -> usize {
        self.topics[kind as usize].len()
    }

    /// Whether a message to a channel can reach anybody.
    #[inline]
    pub fn has_listeners(&self) -> bool {
        self.topics(Kind::Channel) + self.topics(Kind::Pattern) > 0
    }

    /// How many clients listen to a channel (or have this very pattern).
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> usize {
        let topics = &self.topics[kind as usize];
        let topic = topics.find(&self.hasher, name).and_then(|id| topics.get(id));
        topic.map_or(0, |topic| topic.readers.len())
    }

    /// Visits the names of what is listened to, `count` places from place `from` on; where to go on, if it is not over.
    pub fn visit_topics(
        &self,
        kind: Kind,
        from: usize,
        count: usize,
        mut visit: impl FnMut(&Block),
    ) -> Option<usize> {
        self.topics[kind as usize].visit(from, count, |topic| visit(&topic.name))
    }

    // --- subscriptions ---

    /// The client at `slot` listens to something from now on; false if it did already.
    pub fn subscribe(&mut self, slot: usize, kind: Kind, name: &[u8]) -> Result<bool, OutOfMemory> {
        let topics = &mut self.topics[kind as usize];
        if self.subscribers.len() <= slot {
            self.subscribers.resize_with(slot + 1, || None);
        }
        let (since, caught_up) = (self.next_subscription, self.next_delivery);
        let fresh = || Box::new(Subscriber { since, caught_up, ..Subscriber::default() });
        let Some(place) = self.subscribers.get_mut(slot) else { return Ok(false) };
        let subscriber = place.get_or_insert_with(fresh);
        let listens = &mut subscriber.listens[kind as usize];
        if let Some(id) = topics.find(&self.hasher, name)
            && listens.by_topic.contains_key(&id)
        {
            return Ok(false);
        }
        let number = self.next_subscription;
        let id = topics.add(&self.hasher, name, number, slot as u32)?;
        self.next_subscription += 1;
        listens.by_topic.insert(id, number);
        listens.in_order.insert(number, id);
        subscriber.summary.add(kind, name);
        Ok(true)
    }

    /// The client at `slot` listens to something no longer; false if it did not.
    pub fn unsubscribe(&mut self, slot: usize, kind: Kind, name: &[u8]) -> bool {
        let topics = &mut self.topics[kind as usize];
        let Some(Some(subscriber)) = self.subscribers.get_mut(slot) else { return false };
        let Some(id) = topics.find(&self.hasher, name) else { return false };
        let listens = &mut subscriber.listens[kind as usize];
        let Some(number) = listens.by_topic.remove(&id) else { return false };
        listens.in_order.remove(&number);
        topics.remove(&self.hasher, id, number);
        subscriber.summary.remove(kind, name);
        true
    }

    /// How much the client at `slot` listens to.
    pub fn summary(&self, slot: usize) -> Subscriptions {
        let subscriber = self.subscribers.get(slot).and_then(Option::as_deref);
        subscriber.map(|subscriber| subscriber.summary).unwrap_or_default()
    }

    /// What the client at `slot` listens to longest.
    pub fn oldest(&self, slot: usize, kind: Kind) -> Option<&Block> {
        self.names_of(slot, kind).next()
    }

    /// All that the client at `slot` listens to, in the order in which it subscribed.
    pub fn names_of(&self, slot: usize, kind: Kind) -> impl Iterator<Item = &Block> {
        let subscriber = self.subscribers.get(slot).and_then(|place| place.as_deref());
        let listens = subscriber.map(|subscriber| &subscriber.listens[kind as usize]);
        let ids = listens.into_iter().flat_map(|listens| listens.in_order.values());
        ids.filter_map(move |&id| Some(&self.topics[kind as usize].get(id)?.name))
    }

    /// The client at `slot` is gone, or listens to nothing any more: it gets no message from now on. What it
    /// listened to forgets it at once, or in slices if that is much.
    pub fn leave(&mut self, slot: usize) {
        let Some(subscriber) = self.subscribers.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let count: usize = subscriber.listens.iter().map(|listens| listens.in_order.len()).sum();
        self.leaving.push(subscriber);
        if count <= LEAVE_AT_ONCE_MAX {
            // What left earlier may be long; it is last in the list now.
            let last = self.leaving.len() - 1;
            self.leaving.swap(0, last);
            while !self.free_some(0, LEAVE_AT_ONCE_MAX) {}
        }
    }

    /// Whether subscriptions of clients that are gone still stand in topics.
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Takes up to `count` subscriptions of clients that are gone out of their topics; true once none is left.
    pub fn free_slice(&mut self, count: usize) -> bool {
        self.leaving.is_empty() || (self.free_some(0, count.max(1)) && self.leaving.is_empty())
    }

    /// Goes on with one of those that are gone; true once all of it is.
    fn free_some(&mut self, index: usize, count: usize) -> bool {
        let Some(subscriber) = self.leaving.get_mut(index) else { return true };
        let mut left = count;
        for (topics, listens) in self.topics.iter_mut().zip(&mut subscriber.listens) {
            while let Some((number, id)) = listens.in_order.pop_first() {
                listens.by_topic.remove(&id);
                topics.remove(&self.hasher, id, number);
                left -= 1;
                if left == 0 {
                    return false;
                }
            }
        }
        self.leaving.swap_remove(index);
        true
    }

    // --- messages ---

    /// Sends a message to all who listen to the channel, by its name or by a pattern: queued, to be taken out by
    /// [`Pubsub::next_batch`]. How many times it is received.
    pub fn publish(&mut self, kind: Kind, channel: &[u8], payload: Payload<'_>) -> usize {
        let mut targets = Vec::new();
        let end = self.next_subscription;
        let mut receivers = 0;
        let topics = &self.topics[kind as usize];
        if let Some(topic) = topics.find(&self.hasher, channel) {
            let count = topics.get(topic).map_or(0, |topic| topic.readers.len());
            let by = if kind == Kind::Shard { By::Shard } else { By::Channel };
            targets.push(Target { kind, topic, by, from: 0, end, count });
            receivers += count;
        }
        let patterns = &self.topics[Kind::Pattern as usize];
        if kind == Kind::Channel && patterns.len() > 0 {
            self.matching.clear();
            patterns.matching(channel, &mut self.matching);
            for &topic in &self.matching {
                let Some(pattern) = patterns.get(topic) else { continue };
                let (count, by) = (pattern.readers.len(), By::Pattern(pattern.name.clone()));
                targets.push(Target { kind: Kind::Pattern, topic, by, from: 0, end, count });
                receivers += count;
            }
        }
        if receivers > 0 {
            let number = self.next_delivery;
            self.next_delivery += 1;
            self.backlog += receivers;
            let body = Body::new(channel, payload);
            self.deliveries.push_back(Delivery { number, body, targets, at: 0 });
        }
        receivers
    }

    /// Whether no message is under way.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// About how many times a message is still to be received.
    #[inline]
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    /// The next message and up to `limit` slots of clients to get it, which are appended to `slots`; they have got all
    /// that was sent before. `None`: nothing is under way.
    pub fn next_batch(&mut self, limit: usize, slots: &mut Vec<usize>) -> Option<Letter> {
        let subscribers = &self.subscribers;
        while let Some(delivery) = self.deliveries.front_mut() {
            let number = delivery.number;
            let Some(target) = delivery.targets.get_mut(delivery.at) else {
                self.deliveries.pop_front();
                continue;
            };
            let topic = self.topics[target.kind as usize].get(target.topic);
            let next = topic.and_then(|topic| {
                topic.readers.visit(target.from..target.end, limit, |subscription, slot| {
                    let subscriber = subscribers.get(slot as usize).and_then(Option::as_deref);
                    let is_due = |subscriber: &Subscriber| {
                        subscription >= subscriber.since && number >= subscriber.caught_up
                    };
                    if subscriber.is_some_and(is_due) {
                        slots.push(slot as usize);
                    }
                })
            });
            let Some(next) = next else {
                self.backlog -= target.count;
                delivery.at += 1;
                continue;
            };
            target.from = next;
            if !slots.is_empty() {
                return Some(Letter { by: target.by.clone(), body: delivery.body.clone() });
            }
        }
        None
    }

    /// Gives the client at `slot` everything under way to it, in order. O(messages under way since it last did).
    pub fn catch_up(&mut self, slot: usize, mut give: impl FnMut(&Letter)) {
        let Some(Some(subscriber)) = self.subscribers.get_mut(slot) else { return };
        let first_number = self.deliveries.front().map_or(self.next_delivery, |first| first.number);
        let skipped = subscriber.caught_up.saturating_sub(first_number) as usize;
        for delivery in self.deliveries.iter().skip(skipped) {
            for target in delivery.targets.iter().skip(delivery.at) {
                let by_topic = &subscriber.listens[target.kind as usize].by_topic;
                let subscription = by_topic.get(&target.topic);
                if subscription.is_some_and(|number| (target.from..target.end).contains(number)) {
                    give(&Letter { by: target.by.clone(), body: delivery.body.clone() });
                }
            }
        }
        subscriber.caught_up = self.next_delivery;
    }
}

#[cfg(test)]
#[path = "pubsub/tests.rs"]
mod tests;
