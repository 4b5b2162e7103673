//! Collections inside and outside their entries; lists stand for all.
use super::*;
use crate::base::hash::KeyHasher;
use crate::types::list::{Element, End, Fill, Spent};

fn db() -> Db {
    Db::new(KeyHasher::new(5))
}

fn append(list: &mut List) {
    list.push(End::Back, Element::Int(7), &Fill::new(-2, usize::MAX));
}

fn clear(list: &mut List) {
    list.cut(End::Back, usize::MAX, usize::MAX, &mut Spent::default());
}

fn push(db: &mut Db, key: &[u8], count: usize) {
    let key = db.hasher.key(key);
    let push = |list: &mut List| (0..count).for_each(|_| append(list));
    db.edit_or_new(key, push).expect("a list");
}

fn length(db: &mut Db, key: &[u8]) -> Option<usize> {
    let key = db.hasher.key(key);
    db.peek_as::<List>(key).expect("a list").map(|list| list.len())
}

#[test]
fn small_ones_stand_in_their_entries_and_big_ones_do_not() {
    let mut db = db();
    let is_object =
        |db: &mut Db| db.peek(db.hasher.clone().key(b"k")).map(|entry| entry.is_object());
    push(&mut db, b"k", 0);
    assert_eq!(length(&mut db, b"k"), None);
    // Elements of two bytes, until they are too many for an entry.
    let mut count = 0;
    while is_object(&mut db) != Some(true) {
        push(&mut db, b"k", 1);
        count += 1;
        assert_eq!(length(&mut db, b"k"), Some(count));
    }
    assert!((INLINE_BYTES_MAX - 16..INLINE_BYTES_MAX).contains(&(2 * count)), "{count}");
    assert!(db.memory().block_bytes > INLINE_BYTES_MAX);
    let key = db.hasher.clone();
    let key = key.key(b"k");
    db.edit(key, |list: &mut List| {
        clear(list);
        append(list);
    })
    .expect("a list");
    assert_eq!((length(&mut db, b"k"), is_object(&mut db)), (Some(1), Some(false)));
    db.edit(key, clear).expect("a list");
    assert_eq!(length(&mut db, b"k"), None);
    while !db.free_slice(1) {}
    assert_eq!((db.len(), db.memory().garbage_bytes), (0, 0));
}

#[test]
fn other_types_are_refused() {
    let mut db = db();
    push(&mut db, b"k", 1);
    let key = db.hasher.clone();
    let key = key.key(b"k");
    assert!(db.get::<Hash>(key).is_err());
    let ignore = |_: &mut Hash| ();
    assert_eq!(db.edit(key, ignore), Err(EditError::WrongType));
    assert_eq!(db.edit_or_new(key, ignore), Err(EditError::WrongType));
    assert!(matches!(db.peek(key).map(|entry| entry.value()), Some(ValueRef::List(_))));
    db.put_aggregate(key, Set::new_empty(), Ttl::Keep).expect("memory");
    assert_eq!(db.peek(key).map(|entry| entry.kind()), Some(Kind::Set));
}

#[test]
fn they_move_with_their_ttl() {
    let mut db = db();
    let hasher = db.hasher.clone();
    for size in [10, 5000] {
        push(&mut db, b"a", size);
        db.set_expiry(hasher.key(b"a"), Some(99_999)).expect("memory");
        push(&mut db, b"a", 1);
        let taken = db.take(hasher.key(b"a")).expect("there");
        assert_eq!(length(&mut db, b"a"), None);
        db.put(hasher.key(b"b"), taken).expect("memory");
        assert_eq!(length(&mut db, b"b"), Some(size + 1));
        assert_eq!(db.expiry(hasher.key(b"b")), Some(Some(99_999)));
        push(&mut db, b"a", 3);
        let taken = db.take(hasher.key(b"b")).expect("there");
        db.put(hasher.key(b"a"), taken).expect("memory");
        assert_eq!((length(&mut db, b"a"), db.len()), (Some(size + 1), 1));
        db.remove(hasher.key(b"a"));
    }
    while !db.free_slice(1) {}
    assert_eq!(db.memory().block_bytes + db.memory().garbage_bytes, 0);
}

/// Freed at once, a small collection counts nowhere; a big one waits, and counts once it is gone.
#[test]
fn collections_freed_later_are_counted() {
    let mut db = db();
    let hasher = db.hasher.clone();
    push(&mut db, b"small", 100);
    push(&mut db, b"big", 40_000);
    db.remove(hasher.key(b"small"));
    assert_eq!((db.garbage_objects(), db.stats.freed_later), (0, 0));
    db.remove(hasher.key(b"big"));
    assert_eq!((db.garbage_objects(), db.stats.freed_later), (1, 0));
    while !db.free_slice(1) {}
    assert_eq!((db.garbage_objects(), db.stats.freed_later), (0, 1));
}
