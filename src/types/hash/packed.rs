//! The packed forms of a hash: what a listpack holds is pairs (field, value) or triples (field, value, expiry).
//!
//! Invariant of the triples: sorted by expiry, the soonest first; fields without one carry 0 and stand at the end. So
//! what is due is at the beginning. All here is O(fields), of which a packed hash has few.
use super::{Field, FieldTtl, Found, Value};
use crate::base::pieces::Progress;
use crate::base::time::UnixMillis;
use crate::types::listpack::{Item, Listpack, ListpackRef};

/// The expiry of a field that has none.
const NEVER: i64 = 0;

/// How a listpack is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Field, value.
    Pairs,
    /// Field, value, expiry.
    Triples,
}

impl Form {
    /// Items of one field.
    #[inline]
    pub(super) fn stride(self) -> usize {
        match self {
            Form::Pairs => 2,
            Form::Triples => 3,
        }
    }
}

fn expiry_of(item: Item<'_>) -> Option<UnixMillis> {
    item.as_int().filter(|expiry| *expiry != NEVER)
}

/// What a field holds.
#[inline]
pub(super) fn get<'a>(list: ListpackRef<'a>, form: Form, field: &[u8]) -> Option<Found<'a>> {
    let at = list.find(None, field, form.stride() - 1)?;
    let value_at = list.next(at)?;
    Some(found_at(list, form, value_at))
}

/// What stands at `value_at` and behind.
#[inline]
fn found_at(list: ListpackRef<'_>, form: Form, value_at: usize) -> Found<'_> {
    let expiry = match form {
        Form::Pairs => None,
        Form::Triples => list.next(value_at).and_then(|at| expiry_of(list.get(at))),
    };
    Found { value: Value::Item(list.get(value_at)), expiry }
}

/// The field at a position.
pub(super) fn field_at(list: ListpackRef<'_>, form: Form, at: usize) -> Field<'_> {
    let value_at = list.next(at).unwrap_or(at);
    Field { name: list.get(at), found: found_at(list, form, value_at) }
}

/// The positions of all fields.
pub(super) fn positions(list: ListpackRef<'_>, form: Form) -> impl Iterator<Item = usize> {
    std::iter::successors(list.first(), move |at| {
        (0..form.stride()).try_fold(*at, |at, _| list.next(at))
    })
}

/// As [`super::HashRef::visit`]; the cursor is a position.
pub(super) fn visit<'a>(
    list: ListpackRef<'a>,
    form: Form,
    cursor: &mut usize,
    units: usize,
    mut visit: impl FnMut(Field<'a>),
) -> Progress {
    let Some(first) = list.first() else { return Progress::Done };
    let mut items = list.items_from((*cursor).max(first));
    for _ in 0..units {
        let Some(name) = items.next() else { return Progress::Done };
        let Some(value) = items.next() else { return Progress::Done };
        let expiry = match form {
            Form::Pairs => None,
            Form::Triples => items.next().and_then(expiry_of),
        };
        visit(Field { name, found: Found { value: Value::Item(value), expiry } });
    }
    *cursor = items.position();
    match items.next() {
        Some(_) => Progress::More,
        None => Progress::Done,
    }
}

/// Sets a field of pairs; true: it is new.
pub(super) fn set_pair(list: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    let view = list.view();
    let known = view.find(None, field, 1).and_then(|at| view.next(at));
    match known {
        Some(at) => {
            list.replace(at, value);
        }
        None => {
            list.push_back(field);
            list.push_back(value);
        }
    }
    known.is_none()
}

/// Sets a field of triples; true: it is new.
pub(super) fn set_triple(list: &mut Listpack, field: &[u8], value: &[u8], ttl: FieldTtl) -> bool {
    let view = list.view();
    let known = view.find(None, field, 2).and_then(|at| view.next(at));
    match known {
        Some(at) => {
            list.replace(at, value);
            if ttl == FieldTtl::Clear {
                set_expiry(list, field, None);
            }
        }
        None => {
            list.push_back(field);
            list.push_back(value);
            list.push_back_int(NEVER);
        }
    }
    known.is_none()
}

/// Takes a field out; false: there was none.
pub(super) fn remove(list: &mut Listpack, form: Form, field: &[u8]) -> bool {
    let Some(at) = list.view().find(None, field, form.stride() - 1) else { return false };
    list.remove_many(at, form.stride());
    true
}

/// Triples of pairs, none of them with an expiry.
pub(super) fn with_expiries(pairs: ListpackRef<'_>) -> Listpack {
    // Two bytes for each expiry that is none; a field is at least four.
    let mut list = Listpack::with_capacity(pairs.as_bytes().len() * 3 / 2);
    let mut items = pairs.iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        list.push_back_item(name);
        list.push_back_item(value);
        list.push_back_int(NEVER);
    }
    list
}

/// When the first field expires.
#[inline]
pub(super) fn first_expiry(list: ListpackRef<'_>) -> Option<UnixMillis> {
    list.seek(2).and_then(|at| expiry_of(list.get(at)))
}

/// Gives a field that is there an expiry, or takes it away: its triple moves to where it belongs.
pub(super) fn set_expiry(list: &mut Listpack, field: &[u8], expiry: Option<UnixMillis>) {
    let view = list.view();
    let Some(at) = view.find(None, field, 2) else { return };
    let Some(value_at) = view.next(at) else { return };
    let old = found_at(view, Form::Triples, value_at).expiry;
    if old == expiry {
        return;
    }
    let value = view.get(value_at).to_vec();
    list.remove_many(at, 3);
    let Some(expiry) = expiry else {
        list.push_back(field);
        list.push_back(&value);
        list.push_back_int(NEVER);
        return;
    };
    let view = list.view();
    let place = positions(view, Form::Triples).find(|&at| {
        let other = field_at(view, Form::Triples, at).found.expiry;
        other.is_none_or(|other| other >= expiry)
    });
    match place {
        Some(at) => {
            let at = list.insert_before(at, field);
            let at = list.insert_after(at, &value);
            list.insert_after(at, itoa::Buffer::new().format(expiry).as_bytes());
        }
        None => {
            list.push_back(field);
            list.push_back(&value);
            list.push_back_int(expiry);
        }
    }
}

/// Takes out at most `units` fields whose time has come; returns how many.
pub(super) fn reclaim(list: &mut Listpack, now: UnixMillis, units: usize) -> usize {
    let view = list.view();
    let is_due = |at: &usize| {
        field_at(view, Form::Triples, *at).found.expiry.is_some_and(|expiry| expiry <= now)
    };
    let due = positions(view, Form::Triples).take(units).take_while(is_due).count();
    if due > 0
        && let Some(first) = list.view().first()
    {
        list.remove_many(first, due * 3);
    }
    due
}
