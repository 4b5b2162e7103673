//! Streams against naive models.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::node::NodeRef;
use super::*;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
type Entries = BTreeMap<StreamId, Pairs>;

const SMALL: NodeLimits = NodeLimits { bytes: 200, entries: 7 };

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn owned(entry: Entry<'_>) -> (StreamId, Pairs) {
    (entry.id, entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// All that a walk shows, with steps of so many units.
fn walked(log: &Log, mut walk: Walk, units: usize) -> Vec<(StreamId, Pairs)> {
    let mut found = Vec::new();
    while !walk.step(log, units, |entry| found.push(owned(entry))).is_done() {}
    found
}

fn add(stream: &mut Stream, new: NewId, fields: &[(&str, &str)]) -> Result<StreamId, AppendError> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    stream.append(new, 5, fields, SMALL)
}

/// Everything that must hold of a stream at any time.
fn check(stream: &Stream, model: &Entries) {
    let log = stream.log();
    assert_eq!(log.len(), model.len() as u64);
    assert_eq!(log.first_id(), model.keys().next().copied().unwrap_or_default());
    assert_eq!(log.top_id(), model.keys().next_back().copied().unwrap_or_default());
    let mut live = 0;
    for (first, bytes) in log.nodes_from(StreamId::MIN) {
        let checked = NodeRef::check(first, bytes);
        live += checked.map(|(live, _)| live).unwrap_or_else(|_| panic!("{first:?} {bytes:?}"));
    }
    assert_eq!(live, log.len());
    let all: Entries =
        walked(log, Walk::new(StreamId::MIN, StreamId::MAX), 3).into_iter().collect();
    assert_eq!(&all, model);
}

#[derive(Clone, Debug)]
enum Op {
    Add(u64, Pairs),
    Delete(usize),
    DeleteNone(u64),
    MaxLen(usize, bool),
    MinId(usize, bool),
    Range(u64, u64),
}

fn ops() -> impl Strategy<Value = Op> {
    let name = prop_oneof![Just(b"a".to_vec()), Just(b"field".to_vec()), Just(b"12".to_vec())];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        Just(vec![b'x'; 90]),
    ];
    let fields = prop::collection::vec((name, value), 1..4);
    prop_oneof![
        8 => (0..3u64, fields).prop_map(|(gap, fields)| Op::Add(gap, fields)),
        4 => any::<usize>().prop_map(Op::Delete),
        1 => (0..100u64).prop_map(Op::DeleteNone),
        1 => (0..60usize, any::<bool>()).prop_map(|(count, exact)| Op::MaxLen(count, exact)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(index, exact)| Op::MinId(index, exact)),
        1 => (0..150u64, 0..150u64).prop_map(|(start, end)| Op::Range(start, end)),
    ]
}

/// The id at an index of the model, as if it went round and round.
fn nth(model: &Entries, index: usize) -> Option<StreamId> {
    model.keys().nth(index % model.len().max(1)).copied()
}

fn trim(stream: &mut Stream, model: &mut Entries, keep: Keep, is_exact: bool) {
    let mut trim = Trim::new(keep, is_exact, 0);
    let (ahead, nodes) = (trim.nodes_ahead(stream.log()), stream.log().nodes_len());
    let mut steps = 0;
    while !trim.step(stream.log_mut(), 1).is_done() {
        steps += 1;
    }
    assert!(steps <= nodes && (ahead > 0 || steps == 0), "{steps} of {nodes}, {ahead} ahead");
    let before = model.len();
    let left: Vec<StreamId> = match keep {
        Keep::Newest(count) => model.keys().rev().take(count as usize).copied().collect(),
        Keep::From(least) => model.range(least..).map(|(id, _)| *id).collect(),
    };
    if is_exact {
        model.retain(|id, _| left.contains(id));
    } else {
        // Whole nodes only: what is left is at least what was wanted, and begins where a node does.
        let first = stream.log().first_id();
        assert!(stream.log().len() >= left.len() as u64);
        model.retain(|id, _| *id >= first && !first.is_zero());
    }
    assert_eq!(trim.removed(), (before - model.len()) as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn entries_as_in_a_map(ops in prop::collection::vec(ops(), 1..120)) {
        let (mut stream, mut model) = (Stream::new(), Entries::new());
        let mut last = id(0, 0);
        for op in ops {
            match op {
                Op::Add(gap, fields) => {
                    let seq = if gap == 0 { last.seq + 1 } else { 0 };
                    let new = id(last.ms + gap, seq);
                    let pairs = fields.iter().map(|(name, value)| (&name[..], &value[..]));
                    let added = stream.append(NewId::Given(new), 0, pairs, SMALL);
                    prop_assert_eq!(added, Ok(new));
                    model.insert(new, fields);
                    last = new;
                }
                Op::Delete(index) => {
                    if let Some(id) = nth(&model, index) {
                        prop_assert!(stream.log_mut().delete(id));
                        model.remove(&id);
                        stream.log_mut().find_first();
                        prop_assert!(!stream.log_mut().delete(id));
                    }
                }
                Op::DeleteNone(ms) => prop_assert!(!stream.log_mut().delete(id(ms, 77))),
                Op::MaxLen(count, exact) => {
                    trim(&mut stream, &mut model, Keep::Newest(count as u64), exact);
                }
                Op::MinId(index, exact) => {
                    if let Some(least) = nth(&model, index) {
                        trim(&mut stream, &mut model, Keep::From(least), exact);
                    }
                }
                Op::Range(start, end) => {
                    let (start, end) = (id(start, 1), id(end, 1));
                    let mut wanted: Vec<_> = if start <= end {
                        model.range(start..=end).map(|(id, fields)| (*id, fields.clone())).collect()
                    } else {
                        Vec::new()
                    };
                    for units in [1, 4, 1000] {
                        let found = walked(stream.log(), Walk::new(start, end), units);
                        prop_assert_eq!(&found, &wanted);
                    }
                    wanted.reverse();
                    for units in [1, 4, 1000] {
                        let found = walked(stream.log(), Walk::backwards(start, end), units);
                        prop_assert_eq!(&found, &wanted);
                    }
                }
            }
            check(&stream, &model);
        }
        let mut copy = StreamCopy::default();
        while !copy.step(&stream, 1).is_done() {}
        let copy = copy.finish();
        check(&copy, &model);
        prop_assert_eq!(copy.log().header(), stream.log().header());
        let rebuilt = rebuilt(&stream);
        check(&rebuilt, &model);
        while !stream.free_slice(1).is_done() {}
        prop_assert_eq!(stream.bytes(), Stream::new().bytes());
    }
}

/// The stream as it comes out of its own dump.
fn rebuilt(stream: &Stream) -> Stream {
    let mut builder = StreamBuilder::default();
    for (first, bytes) in stream.log().nodes_from(StreamId::MIN) {
        builder.add_node(&first.to_bytes(), bytes.to_vec()).expect("our own node");
    }
    builder.set_header(stream.log().header()).expect("our own header");
    for (name, group) in stream.groups_after(None) {
        builder.begin_group(name, group.last_id, Some(group.entries_read)).expect("our own group");
        for (id, pending) in group.pending_from(StreamId::MIN) {
            let added = builder.add_pending(id.to_bytes(), pending.delivered_ms, pending.count);
            added.expect("our own entry");
        }
        for consumer in group.consumers_after(None) {
            builder.begin_consumer(consumer.name(), consumer.seen_ms).expect("our own consumer");
            for id in consumer.pending_from(StreamId::MIN) {
                builder.add_consumer_pending(id.to_bytes()).expect("our own entry");
            }
        }
    }
    builder.finish().expect("our own stream")
}

/// A group as plain maps: the pending entries with their owners' names.
type Owned = BTreeMap<StreamId, (Vec<u8>, i64, u64)>;

fn owned_by(group: &Group) -> Owned {
    let name = |pending: &Pending| {
        group
            .consumer_at(pending.consumer)
            .map_or_else(Vec::new, |consumer| consumer.name().to_vec())
    };
    let all = group.pending_from(StreamId::MIN);
    all.map(|(id, pending)| (id, (name(&pending), pending.delivered_ms, pending.count))).collect()
}

fn check_group(group: &Group, model: &Owned) {
    assert_eq!(&owned_by(group), model);
    assert_eq!(group.pending_len(), model.len());
    let bounds = model.keys().next().copied().zip(model.keys().next_back().copied());
    assert_eq!(group.pending_bounds(), bounds);
    for consumer in group.consumers_after(None) {
        let own = model.iter().filter(|(_, (name, ..))| name == consumer.name());
        assert!(consumer.pending_from(StreamId::MIN).eq(own.map(|(id, _)| *id)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pending_entries_have_one_owner(
        ops in prop::collection::vec((0..7u8, 0..60u64, 0..4u8, 0..5u64), 1..300),
    ) {
        let mut stream = Stream::new();
        stream.add_group(b"g", Group::new(StreamId::MIN, 0));
        let mut model = Owned::new();
        for (index, (op, ms, consumer, count)) in ops.into_iter().enumerate() {
            let now = index as i64;
            let entry = id(ms, 0);
            let name = [b'c', b'0' + consumer];
            let done = stream.edit_group(b"g", |group, _| {
                let number = match group.see(&name, now) {
                    Some(number) => number,
                    None => group.add_consumer(&name, now).expect("there is none"),
                };
                match op {
                    0..=2 => {
                        group.deliver(entry, number, now);
                        model.insert(entry, (name.to_vec(), now, 1));
                    }
                    3 => {
                        let count = if count == 4 { u64::from(u32::MAX) + ms } else { count };
                        group.assign(entry, Pending { consumer: number, delivered_ms: now, count });
                        model.insert(entry, (name.to_vec(), now, count));
                    }
                    4 => {
                        group.redeliver(entry, now);
                        if let Some((_, time, count)) = model.get_mut(&entry) {
                            (*time, *count) = (now, *count + 1);
                        }
                    }
                    5 => assert_eq!(group.acknowledge(entry), model.remove(&entry).is_some()),
                    _ => {
                        while !group.remove_consumer(number, 1).is_done() {}
                        model.retain(|_, (owner, ..)| *owner != name);
                    }
                }
            });
            prop_assert!(done.is_some());
            check_group(stream.group(b"g").expect("it is there"), &model);
        }
        let mut copy = StreamCopy::default();
        while !copy.step(&stream, 1).is_done() {}
        for copy in [copy.finish(), rebuilt(&stream)] {
            check_group(copy.group(b"g").expect("it was copied"), &model);
            prop_assert_eq!(copy.groups_len(), 1);
        }
        let mut group = stream.remove_group(b"g").expect("it is there");
        prop_assert_eq!(stream.bytes(), Stream::new().bytes());
        while !group.free_slice(1).is_done() {}
        prop_assert_eq!(group.bytes(), Group::new(StreamId::MIN, 0).bytes());
    }

    /// Whatever is done to a node, it is refused or can be read.
    #[test]
    fn changed_nodes_do_no_harm(at in 0..200usize, byte: u8, cut in 0..3usize) {
        let mut stream = Stream::new();
        for _ in 0..7 {
            let _ = add(&mut stream, NewId::Auto, &[("a", "1"), ("b", "some text")]);
            let _ = add(&mut stream, NewId::Auto, &[("a", "1"), ("c", "1234567")]);
        }
        for (first, bytes) in stream.log().nodes_from(StreamId::MIN) {
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.saturating_sub(1));
            let mut builder = StreamBuilder::default();
            if builder.add_node(&first.to_bytes(), bytes).is_err() {
                continue;
            }
            let entries = builder.entries;
            let header = Header { length: entries, last_id: StreamId::MAX, ..Header::default() };
            builder.set_header(header).expect("counted");
            let mut built = builder.finish().expect("whole");
            built.log_mut().find_first();
            let all = walked(built.log(), Walk::new(StreamId::MIN, StreamId::MAX), 2);
            prop_assert_eq!(all.len() as u64, entries);
            let mut back = walked(built.log(), Walk::backwards(StreamId::MIN, StreamId::MAX), 2);
            back.reverse();
            prop_assert_eq!(&all, &back);
            for (id, _) in all {
                prop_assert!(built.log_mut().delete(id));
            }
            prop_assert_eq!(built.log().len(), 0);
        }
    }
}

#[test]
fn ids_ascend() {
    let mut stream = Stream::new();
    let fields = [("a", "b")];
    assert!(stream.is_empty());
    assert_eq!(add(&mut stream, NewId::Given(id(0, 0)), &fields), Err(AppendError::NotGreater));
    assert!(stream.is_empty(), "nothing was done to it");
    assert_eq!(add(&mut stream, NewId::AutoSeq(0), &fields), Ok(id(0, 1)));
    assert!(!stream.is_empty());
    assert_eq!(add(&mut stream, NewId::Auto, &fields), Ok(id(5, 0)));
    assert_eq!(add(&mut stream, NewId::Auto, &fields), Ok(id(5, 1)));
    assert_eq!(add(&mut stream, NewId::AutoSeq(5), &fields), Ok(id(5, 2)));
    assert_eq!(add(&mut stream, NewId::AutoSeq(4), &fields), Err(AppendError::NotGreater));
    assert_eq!(add(&mut stream, NewId::Given(id(5, 2)), &fields), Err(AppendError::NotGreater));
    let top = id(7, u64::MAX);
    assert_eq!(add(&mut stream, NewId::Given(top), &fields), Ok(top));
    assert_eq!(add(&mut stream, NewId::AutoSeq(7), &fields), Err(AppendError::NoSequence));
    assert_eq!(add(&mut stream, NewId::Auto, &fields), Ok(id(8, 0)));
    assert_eq!(add(&mut stream, NewId::Given(StreamId::MAX), &fields), Ok(StreamId::MAX));
    assert_eq!(add(&mut stream, NewId::Auto, &fields), Err(AppendError::Exhausted));
    assert_eq!(stream.log().entries_added(), 7);
}

#[test]
fn a_node_is_as_redis_writes_it() {
    let mut stream = Stream::new();
    let _ = add(&mut stream, NewId::Given(id(3, 1)), &[("f", "1")]);
    let _ = add(&mut stream, NewId::Given(id(3, 2)), &[("f", "x")]);
    let _ = add(&mut stream, NewId::Given(id(4, 0)), &[("g", "y")]);
    stream.log_mut().delete(id(3, 2));
    let (first, bytes) = stream.log().nodes_from(StreamId::MIN).next().expect("a node");
    assert_eq!(first, id(3, 1));
    let expected: &[&[u8]] = &[
        &[2, 1, 1, 1, 1, 1, 0x81, b'f', 2, 0, 1], // two entries, one deleted, one field: f, 0
        &[2, 1, 0, 1, 0, 1, 1, 1, 4, 1],          // same fields, 0-0, 1; 4 items
        &[3, 1, 0, 1, 1, 1, 0x81, b'x', 2, 4, 1], // same fields and deleted, 0-1, x
        &[0, 1, 1, 1, 0xdf, 0xff, 2, 1, 1, 0x81, b'g', 2, 0x81, b'y', 2, 6, 1], // 1-(-1), g y
    ];
    assert_eq!(&bytes[6..bytes.len() - 1], expected.concat());
}

#[test]
fn small_streams_are_small() {
    let mut stream = Stream::new();
    let _ = add(&mut stream, NewId::Auto, &[("temperature", "21.5")]);
    assert!(stream.log().bytes() < 200, "{}", stream.log().bytes());
    let limits = NodeLimits { bytes: 4096, entries: 100 };
    for index in 0..100_000 {
        let value = format!("{index}");
        let fields = [(&b"temperature"[..], value.as_bytes())];
        stream.append(NewId::Auto, 6 + index, fields.into_iter(), limits).expect("an id");
    }
    let bytes = stream.log().bytes();
    assert!(bytes < 17 * 100_000, "{bytes}");
}

#[test]
fn a_pending_entry_is_small() {
    let mut group = Group::new(StreamId::MIN, 0);
    let consumers: Vec<_> =
        (0..10u8).filter_map(|index| group.add_consumer(&[b'c', index], 0)).collect();
    for index in 0..100_000u64 {
        group.deliver(id(1_700_000_000_000 + index, 0), consumers[index as usize % 10], 0);
    }
    let bytes = group.bytes() / 100_000;
    assert!(bytes < 36, "{bytes}");
}

#[test]
fn radix_nodes_are_counted_as_redis_has_them() {
    // Each was asked of Redis 7.0.15 (`XINFO STREAM`), with one entry per node.
    let nodes = |ids: &[(u64, u64)]| {
        let mut stream = Stream::new();
        let limits = NodeLimits { bytes: 0, entries: 1 };
        for &(ms, seq) in ids {
            let fields = [(&b"a"[..], &b"b"[..])].into_iter();
            stream.append(NewId::Given(id(ms, seq)), 0, fields, limits).expect("they ascend");
        }
        (stream.log().nodes_len(), stream.log().radix_nodes())
    };
    assert_eq!(nodes(&[]), (0, 1));
    assert_eq!(nodes(&[(1, 0)]), (1, 2));
    assert_eq!(nodes(&[(1, 0), (1, 1)]), (2, 4));
    assert_eq!(nodes(&[(1, 0), (2, 0)]), (2, 6));
    assert_eq!(nodes(&[(1, 0), (1, 1), (1, 2)]), (3, 5));
    assert_eq!(nodes(&[(1, 0), (1, 1), (2, 0), (300, 0)]), (4, 11));
    assert_eq!(nodes(&[(1, 5), (256, 0), (256, 256), (257, 0)]), (4, 13));
    assert_eq!(nodes(&[(1, 0), (1 << 63, 0)]), (2, 5));
    assert_eq!(nodes(&[(1, 0), (1, 1), (1, 256), (1, 257), (1 << 40, 0), (1 << 40, 1)]), (6, 14));
    assert_eq!(nodes(&[(0, 1), (0, 1 << 56), (256, 0), (256, 1 << 56)]), (4, 14));
}
