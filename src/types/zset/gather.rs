//! Building a sorted set out of members that come in any order, some of them more than once: unions and the like.
//!
//! First all members are gathered by name ([`Gathering::merge`]), then put into order ([`Gathering::sort`]) in slices,
//! then they are a set, in the form Redis would give it.
use super::tree::{ZsetTree, score_at};
use super::{Zset, ZsetRef};
use crate::base::memory::OutOfMemory;
use crate::base::pieces::{Garbage, Progress};
use crate::types::counted_tree::{CountedTree, Target};
use crate::types::limits::Limits;
use crate::types::listpack::LISTPACK_BYTES_MAX;
use crate::types::members::{Members, Shape};
use crate::types::object::Aggregate;

/// See the head of the file.
#[derive(Debug)]
pub struct Gathering {
    members: Members,
    order: CountedTree,
    /// Bucket of `members` that is put into order next.
    next_bucket: usize,
}

impl Gathering {
    /// With no member.
    #[must_use]
    pub fn new(limits: &Limits) -> Gathering {
        Gathering {
            members: Members::new(&limits.hasher, Shape::Fixed(size_of::<f64>())),
            order: CountedTree::new(),
            next_bucket: 0,
        }
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Gives a member the score that `combine` answers to the one it has so far. O(1).
    pub fn merge(
        &mut self,
        member: &[u8],
        combine: impl FnOnce(Option<f64>) -> f64,
    ) -> Result<(), OutOfMemory> {
        let key = self.members.key(member);
        if let Some(id) = self.members.find_key(key) {
            let score = combine(Some(score_at(&self.members, id)));
            self.members.payload_mut(id).copy_from_slice(&score.to_le_bytes());
            return Ok(());
        }
        self.members.insert_key(key, &combine(None).to_le_bytes())?;
        Ok(())
    }

    /// Takes a member out again; false where it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let is_there = self.members.remove_name(member);
        self.members.tidy(|_, _| ());
        is_there
    }

    /// Puts some buckets of members, about nine each, into order; no member may come or go any more. O(log n) each.
    pub fn sort(&mut self, buckets: usize) -> Progress {
        let (members, order) = (&self.members, &mut self.order);
        let end = (self.next_bucket + buckets).min(members.buckets());
        for bucket in self.next_bucket..end {
            members.visit_bucket(bucket, |id| {
                let target = Target { score: score_at(members, id), name: members.name(id) };
                order.insert(target, id.raw(), members);
            });
        }
        self.next_bucket = end;
        if end == members.buckets() { Progress::Done } else { Progress::More }
    }

    /// The set, once all is in order, as a tree. O(1).
    #[must_use]
    pub fn into_tree(self) -> Zset {
        Zset::Tree(Box::new(ZsetTree::of(self.members, self.order)))
    }

    /// The set, once all is in order: packed where the limits allow it. O(what is packed).
    pub fn finish(self, limits: &Limits) -> Result<Zset, OutOfMemory> {
        let tree = ZsetTree::of(self.members, self.order);
        if tree.len() > limits.zset_max_listpack_entries {
            return Ok(Zset::Tree(Box::new(tree)));
        }
        let mut packed = Zset::new_empty();
        let (mut total_bytes, mut scratch) = (0, itoa::Buffer::new());
        for (member, score) in ZsetRef::Tree(&tree).range(0..usize::MAX) {
            let name = member.as_bytes(&mut scratch);
            total_bytes += name.len();
            if name.len() > limits.zset_max_listpack_value || total_bytes > LISTPACK_BYTES_MAX {
                return Ok(Zset::Tree(Box::new(tree)));
            }
            packed.append(name, score)?;
        }
        Ok(packed)
    }
}

impl Garbage for Gathering {
    fn free_slice(&mut self, units: usize) -> Progress {
        match self.members.free_slice(units) {
            Progress::Done => self.order.free_slice(units),
            Progress::More => Progress::More,
        }
    }
}
