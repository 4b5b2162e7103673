//! From the name a client sends to its command.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rufous::engine::table::CommandTable;
use std::hint::black_box;

const NAMES: &[&str] = &["GET", "set", "Incr", "DEL", "expire", "EXISTS", "incrbyfloat", "PING"];
const WRONG: &[&str] = &["GETT", "nothing", "", "INCRBYFLOATS", "a name that no command has"];

fn bench(criterion: &mut Criterion) {
    let table = CommandTable::new();
    for name in NAMES {
        let id = table.lookup(name.as_bytes());
        let found = id.map(|id| table.command(id).name);
        assert!(found.is_some_and(|found| found.eq_ignore_ascii_case(name)), "{name}");
    }
    assert!(WRONG.iter().all(|name| table.lookup(name.as_bytes()).is_none()));
    let mut group = criterion.benchmark_group("lookup");
    for (name, names) in [("known", NAMES), ("unknown", WRONG)] {
        group.throughput(Throughput::Elements(names.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let lookup = |name: &&&str| table.lookup(black_box(name.as_bytes())).is_some();
                names.iter().filter(lookup).count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
