//! Elements by name against std's map, with ids kept as an index keeps them.
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn hasher() -> KeyHasher {
    KeyHasher::new(7)
}

/// What a random test does.
#[derive(Clone, Debug)]
enum Op {
    Set(u16, usize),
    Remove(u16),
    /// Removes all names of one residue: whole chunks get sparse.
    RemoveSome(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u16..600, prop_oneof![0usize..40, 100usize..300, Just(70_000)])
            .prop_map(|(name, size)| Op::Set(name, size)),
        3 => (0u16..600).prop_map(Op::Remove),
        1 => (0u16..5).prop_map(Op::RemoveSome),
    ]
}

fn name_of(number: u16) -> Vec<u8> {
    let text = format!("{number}");
    text.repeat(1 + usize::from(number % 5) * 12).into_bytes()
}

struct Tested {
    members: Members,
    model: HashMap<Vec<u8>, Vec<u8>>,
    /// Ids as the owner of an index would keep them.
    ids: HashMap<Vec<u8>, MemberId>,
}

impl Tested {
    fn new(shape: Shape) -> Tested {
        let members = Members::new(&hasher(), shape);
        Tested { members, model: HashMap::new(), ids: HashMap::new() }
    }

    fn set(&mut self, name: &[u8], payload: Vec<u8>) {
        let id = match self.members.find(name) {
            Some(id) => self.members.set_payload(id, &payload),
            None => self.members.insert(name, &payload),
        };
        self.ids.insert(name.to_vec(), id.expect("memory"));
        self.model.insert(name.to_vec(), payload);
        self.tidy();
    }

    fn remove(&mut self, name: &[u8]) {
        assert_eq!(self.members.remove_name(name), self.model.remove(name).is_some());
        self.ids.remove(name);
        self.tidy();
    }

    fn tidy(&mut self) {
        let Tested { members, ids, .. } = self;
        members.tidy(|old, new| {
            for id in ids.values_mut().filter(|id| **id == old) {
                *id = new;
            }
        });
    }

    fn check(&self) {
        assert_eq!(self.members.len(), self.model.len());
        for (name, payload) in &self.model {
            let id = self.members.find(name).expect("there");
            assert_eq!(self.members.both(id), (&name[..], &payload[..]));
            assert_eq!(
                (self.members.name(id), self.members.payload(id)),
                (&name[..], &payload[..])
            );
            assert_eq!(self.ids[name], id);
        }
        let mut visited = 0;
        (0..self.members.buckets()).for_each(|at| self.members.visit_bucket(at, |_| visited += 1));
        assert_eq!(visited, self.model.len());
        let mut scanned = std::collections::HashSet::new();
        let mut cursor = 0;
        loop {
            cursor = self.members.scan(cursor, |id| {
                scanned.insert(id);
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned.len(), self.model.len());
    }
}

fn payload(shape: Shape, size: usize) -> Vec<u8> {
    match shape {
        Shape::Bare => Vec::new(),
        Shape::Fixed(bytes) => vec![size as u8; bytes],
        Shape::Paired => vec![size as u8; size],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn as_a_hash_map(
        shape in prop_oneof![Just(Shape::Bare), Just(Shape::Fixed(8)), Just(Shape::Paired)],
        ops in prop::collection::vec(op(), 1..400),
    ) {
        let mut tested = Tested::new(shape);
        for op in ops {
            match op {
                Op::Set(name, size) => tested.set(&name_of(name), payload(shape, size)),
                Op::Remove(name) => tested.remove(&name_of(name)),
                Op::RemoveSome(rest) => {
                    (0..600).filter(|n| n % 5 == rest).for_each(|n| tested.remove(&name_of(n)));
                }
            }
        }
        tested.check();
        while tested.members.free_slice(1) == Progress::More {}
    }
}

#[test]
fn sixteen_byte_members_cost_little() {
    let mut members = Members::new(&hasher(), Shape::Bare);
    let count = 100_000;
    for number in 0..count {
        members.insert(format!("{number:016}").as_bytes(), b"").expect("memory");
    }
    let each = members.bytes() as f64 / f64::from(count);
    assert!((28.0..31.0).contains(&each), "{each} bytes");
}

#[test]
fn churn_and_deletion_leave_few_gaps() {
    let mut members = Members::new(&hasher(), Shape::Paired);
    let (count, mut random) = (20_000u64, Random::from_seed(1));
    for number in 0..count {
        members.insert(&number.to_le_bytes(), &[1; 20]).expect("memory");
    }
    for _ in 0..8 * count {
        let id = members.find(&random.below(count).to_le_bytes()).expect("there");
        let size = random.below(60) as usize;
        members.set_payload(id, &vec![2; size]).expect("memory");
        members.tidy(|_, _| {});
    }
    let live: usize = (0..count)
        .filter_map(|number| members.find(&number.to_le_bytes()))
        .map(|id| slot_bytes(10 + members.payload(id).len()))
        .sum();
    let used = members.arena.bytes();
    assert!(used < live * 13 / 10, "{used} bytes for {live}");
    for number in (0..count).filter(|number| number % 20 != 0) {
        assert!(members.remove_name(&number.to_le_bytes()));
        members.tidy(|_, _| {});
    }
    assert!(members.bytes() < used / 6, "{} bytes of {used}", members.bytes());
    for number in (0..count).filter(|number| number % 20 == 0) {
        assert!(members.remove_name(&number.to_le_bytes()));
        members.tidy(|_, _| {});
    }
    assert_eq!((members.len(), members.arena.bytes() < 200_000), (0, true));
}
