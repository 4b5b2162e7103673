//! Edits in pieces beside the same edits in one go, on two databases.
use super::*;
use crate::base::hash::KeyHasher;
use crate::store::{OwnedEntry, Scalar};
use proptest::prelude::*;

fn db() -> Db {
    let mut db = Db::new(KeyHasher::new(42));
    db.begin(1_000_000, false);
    db
}

fn text_of(db: &mut Db, key: &[u8]) -> Option<Vec<u8>> {
    let key = db.key(key);
    let string = db.peek(key)?.string()?;
    Some(string.as_bytes(&mut itoa::Buffer::new()).to_vec())
}

/// An edit to its end, in pieces of so many bytes; calls `meanwhile` between steps.
fn finish(
    edit: Result<BigEdit, EditError>,
    db: &mut Db,
    key: &[u8],
    written: &[u8],
    bytes_max: usize,
    mut meanwhile: impl FnMut(&mut Db, usize),
) -> Result<usize, EditError> {
    let mut edit = edit?;
    // What fits an entry never takes more than one step.
    edit.one_step_max = entry::INLINE_MAX;
    let mut steps = 0;
    loop {
        let key = db.key(key);
        if edit.step_bytes(db, key, written, bytes_max)?.is_done() {
            return Ok(edit.len());
        }
        steps += 1;
        meanwhile(db, steps);
    }
}

/// One edit of one of two keys.
#[derive(Clone, Debug)]
struct Edit {
    key: u8,
    /// `None`: APPEND.
    offset: Option<usize>,
    written_len: usize,
    piece_bytes: usize,
    /// Who holds the value before: nobody, a reply, a copy under another key.
    sharing: u8,
    /// After so many steps somebody takes a reference.
    shared_after: usize,
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let length = || prop_oneof![0usize..20, 8000usize..9000, 20_000usize..30_000];
    let offset = prop_oneof![Just(None), length().prop_map(Some)];
    (0u8..2, offset, length(), prop_oneof![1usize..9, 500usize..9000], 0u8..3, 1usize..9).prop_map(
        |(key, offset, written_len, piece_bytes, sharing, shared_after)| {
            // One byte at a time takes too long for long results.
            let piece_bytes = piece_bytes.max(written_len.max(offset.unwrap_or(0)) / 300 + 1);
            Edit { key, offset, written_len, piece_bytes, sharing, shared_after }
        },
    )
}

/// What can be seen of a key.
fn seen(db: &mut Db, key: &[u8]) -> Option<(&'static str, Option<i64>, Scalar, u64)> {
    let key = db.key(key);
    let entry = db.peek(key)?;
    Some((entry.encoding(), entry.expiry(), entry.scalar(), entry.idle_seconds()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn equals_the_edit_in_one_go(
        edits in prop::collection::vec(any_edit(), 1..12),
        first_len in 0usize..9000,
        is_typed: bool,
    ) {
        let (mut pieces, mut whole) = (db(), db());
        for db in [&mut pieces, &mut whole] {
            let key = db.key(b"a");
            let text = vec![b'a'; first_len];
            let scalar = if is_typed { Scalar::Text } else { Scalar::Bytes };
            db.set_scalar(key, NewString::Bytes(&text), scalar, Ttl::At(2_000_000)).unwrap();
        }
        let mut replies: Vec<(Block, Vec<u8>)> = Vec::new();
        for (index, edit) in edits.iter().enumerate() {
            let name = [b"a", b"b"][usize::from(edit.key)];
            let byte = |at: usize| (index * 31 + at) as u8;
            let written: Vec<u8> = (0..edit.written_len).map(byte).collect();
            for db in [&mut pieces, &mut whole] {
                db.begin(1_000_000 + index as i64 * 5000, false);
            }
            let key = whole.key(name);
            let expected = match edit.offset {
                None => whole.append(key, &written),
                Some(offset) => whole.set_range(key, offset, &written),
            };
            let key = pieces.key(name);
            let mut copies: Vec<OwnedEntry> = Vec::new();
            match (edit.sharing, pieces.string(key)) {
                (1, Ok(Some(StringRef::Block(block)))) => {
                    replies.push((Arc::clone(block), block.to_vec()));
                }
                (2, _) => copies.extend(pieces.copy(key)),
                _ => {}
            }
            let started = match edit.offset {
                None => BigEdit::append(&mut pieces, key, written.len()),
                Some(offset) => BigEdit::set_range(&mut pieces, key, offset, written.len()),
            };
            let share = |db: &mut Db, step| {
                let key = db.key(name);
                if step == edit.shared_after
                    && let Ok(Some(StringRef::Block(block))) = db.string(key)
                {
                    replies.push((Arc::clone(block), block.to_vec()));
                }
            };
            let length = finish(started, &mut pieces, name, &written, edit.piece_bytes, share);
            prop_assert_eq!(length, expected);
            prop_assert!(text_of(&mut pieces, name) == text_of(&mut whole, name), "{:?}", edit);
            prop_assert_eq!(seen(&mut pieces, name), seen(&mut whole, name), "{:?}", edit);
            // Nobody who holds a value sees it change.
            prop_assert!(replies.iter().all(|(block, text)| **block == *text));
        }
        // The account of memory is right: all of it goes.
        for name in [b"a", b"b"] {
            let key = pieces.key(name);
            pieces.remove(key);
        }
        prop_assert_eq!(pieces.memory().block_bytes, 0);
        drop(replies);
        while !pieces.free_slice(10) {}
    }
}

#[test]
fn nothing_changes_before_the_end_when_it_is_shared() {
    let mut db = db();
    let key = db.key(b"k");
    let old = Arc::new(vec![b'o'; 100_000]);
    db.set_string(key, NewString::Block(Arc::clone(&old)), Ttl::Clear).unwrap();
    let edit = BigEdit::append(&mut db, key, 3);
    let length = finish(edit, &mut db, b"k", b"new", 30_000, |db, _| {
        assert_eq!(text_of(db, b"k").unwrap().len(), 100_000);
        assert_eq!(db.stats.changes, 1);
    });
    assert_eq!((length, db.stats.changes), (Ok(100_003), 2));
    assert_eq!(&text_of(&mut db, b"k").unwrap()[99_999..], b"onew");
    assert_eq!(Arc::strong_count(&old), 1, "our share of it is gone");
    // Now it has room and is its own: in place.
    let place = match db.string(key) {
        Ok(Some(StringRef::Block(block))) => block.as_ptr(),
        other => panic!("{other:?}"),
    };
    let edit = BigEdit::set_range(&mut db, key, 100_010, 50_000);
    let length = finish(edit, &mut db, b"k", &[1; 50_000], 7000, |_, _| {});
    assert_eq!((length, db.stats.changes), (Ok(150_010), 3));
    match db.string(key) {
        Ok(Some(StringRef::Block(block))) => {
            assert_eq!(block.as_ptr(), place);
            assert_eq!(block[100_002..100_012], [b'w', 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_that_is_gone_stays_gone() {
    let mut db = db();
    for is_shared in [false, true] {
        let key = db.key(b"k");
        let block = Arc::new(vec![b'o'; 100_000]);
        let kept = is_shared.then(|| Arc::clone(&block));
        db.set_string(key, NewString::Block(block), Ttl::At(1_000_500)).unwrap();
        let edit = BigEdit::set_range(&mut db, key, 0, 90_000);
        let length = finish(edit, &mut db, b"k", &[1; 90_000], 20_000, |db, step| {
            db.begin(1_000_000 + step as i64 * 200, false);
        });
        assert_eq!(length, Ok(100_000));
        assert_eq!(text_of(&mut db, b"k"), None);
        drop(kept);
        assert_eq!(db.memory().block_bytes, 0);
        db.begin(1_000_000, false);
    }
}

#[test]
fn memory_that_is_not_there_changes_nothing() {
    let mut db = db();
    let key = db.key(b"k");
    db.set_string(key, NewString::Bytes(b"text"), Ttl::Clear).unwrap();
    let mut edit = BigEdit::set_range(&mut db, key, isize::MAX as usize - 10, 1).unwrap();
    assert_eq!(edit.step(&mut db, key, b"x", 1), Err(EditError::OutOfMemory));
    assert_eq!(text_of(&mut db, b"k").unwrap(), b"text");
    let document = db.key(b"d");
    db.set_document(document, b"".to_vec(), Ttl::Clear).unwrap();
    assert_eq!(BigEdit::append(&mut db, document, 1).err(), Some(EditError::WrongType));
}

#[test]
fn a_job_given_up_is_freed_in_slices() {
    let mut db = db();
    let key = db.key(b"k");
    let mut edit = BigEdit::set_range(&mut db, key, 5 << 20, 1).unwrap();
    for _ in 0..20 {
        assert_eq!(edit.step(&mut db, key, b"x", 1), Ok(Progress::More));
    }
    assert_eq!(text_of(&mut db, b"k"), None);
    let mut steps = 0;
    while edit.free_slice(1) == Progress::More {
        steps += 1;
    }
    assert_eq!(steps, 4);
}
