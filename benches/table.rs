//! The linear-hash table by itself, against the hash map of std: fill, hit, miss.
//!
//! Handles are indexes of a list of hashes, so nothing but the table is measured.
use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rufous::types::table::Table;

const ENTRIES: u32 = 1 << 16;

/// Well mixed, and different for each index (an odd multiplication and xor-shifts can be undone).
fn hash(index: u32) -> u64 {
    let mixed = (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn filled() -> Table {
    let mut table = Table::new();
    for index in 1..=ENTRIES {
        assert!(table.insert(hash(index), index, false).is_ok());
        table.grow(|_| {}, hash);
    }
    table
}

/// How many of `range` are found.
fn count(table: &Table, range: std::ops::RangeInclusive<u32>) -> usize {
    range.filter(|&index| table.find(hash(index), |handle| handle == index).is_some()).count()
}

fn bench(criterion: &mut Criterion) {
    let table = filled();
    let map: HashMap<u64, u32> = (1..=ENTRIES).map(|index| (hash(index), index)).collect();
    let (hits, misses) = (1..=ENTRIES, ENTRIES + 1..=2 * ENTRIES);
    assert_eq!(table.len(), ENTRIES as usize);
    assert_eq!(count(&table, hits.clone()), ENTRIES as usize);
    assert_eq!(count(&table, misses.clone()), 0);
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(u64::from(ENTRIES)));
    group.bench_function("fill", |bencher| {
        bencher.iter_batched(|| (), |()| filled(), BatchSize::LargeInput);
    });
    group.bench_function("hit", |bencher| bencher.iter(|| count(&table, hits.clone())));
    group.bench_function("miss", |bencher| bencher.iter(|| count(&table, misses.clone())));
    group.bench_function("hit/std", |bencher| {
        bencher.iter(|| hits.clone().filter(|i| map.contains_key(black_box(&hash(*i)))).count());
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
