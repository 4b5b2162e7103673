//! Reading a hash, in whatever form it is kept.
use super::packed::{self, Form};
use super::{Field, FieldId, Found, HashTable};
use crate::base::pieces::Progress;
use crate::base::random::Random;
use crate::base::time::UnixMillis;
use crate::types::listpack::ListpackRef;

/// A hash to be read.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Fields and values in turn.
    Packed(ListpackRef<'a>),
    /// Fields, values and expiries in turn.
    Expiring(ListpackRef<'a>),
    /// Anything bigger.
    Table(&'a HashTable),
}

impl<'a> HashRef<'a> {
    /// Number of fields, with those whose time has come and that are not yet reclaimed.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            HashRef::Packed(list) => list.len() / 2,
            HashRef::Expiring(list) => list.len() / 3,
            HashRef::Table(table) => table.len(),
        }
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name Redis has for its form.
    pub fn encoding(&self) -> &'static str {
        match self {
            HashRef::Packed(_) => "listpack",
            HashRef::Expiring(_) => "listpackex",
            HashRef::Table(_) => "hashtable",
        }
    }

    /// When the first of its fields expires; `None`: none does. O(1).
    #[inline]
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        match self {
            HashRef::Packed(_) => None,
            HashRef::Expiring(list) => packed::first_expiry(*list),
            HashRef::Table(table) => table.next_expiry(),
        }
    }

    /// The listpack of a packed form, and how it is to be read.
    #[inline]
    fn packed(&self) -> Option<(ListpackRef<'a>, Form)> {
        match self {
            HashRef::Packed(list) => Some((*list, Form::Pairs)),
            HashRef::Expiring(list) => Some((*list, Form::Triples)),
            HashRef::Table(_) => None,
        }
    }

    /// What a field holds, if it is there, live or not.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Found<'a>> {
        match self {
            HashRef::Packed(list) => packed::get(*list, Form::Pairs, field),
            HashRef::Expiring(list) => packed::get(*list, Form::Triples, field),
            HashRef::Table(table) => table.get(field),
        }
    }

    /// Visits about `units` fields, live or not, from the place `cursor` says (0 at the beginning) on. The hash must
    /// not change between two calls. One call may visit some more fields: a bucket is visited whole.
    pub fn visit(
        &self,
        cursor: &mut usize,
        units: usize,
        mut visit: impl FnMut(Field<'a>),
    ) -> Progress {
        match self.packed() {
            Some((list, form)) => packed::visit(list, form, cursor, units, visit),
            None => match self {
                HashRef::Table(table) => table.visit(cursor, units, &mut visit),
                HashRef::Packed(_) | HashRef::Expiring(_) => Progress::Done,
            },
        }
    }

    /// Visits the fields of one step of an iteration that outlives changes, and returns the cursor of the next step; 0
    /// begins and ends it. The guarantee is that of Redis's SCAN.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Field<'a>)) -> u64 {
        match self {
            HashRef::Packed(_) | HashRef::Expiring(_) => {
                let _ = self.visit(&mut 0, usize::MAX, visit);
                0
            }
            HashRef::Table(table) => table.scan(cursor, &mut visit),
        }
    }

    /// The fields of a packed form in order, so that one can be taken by its number in O(1); `None` of a table, whose
    /// fields need no list.
    pub fn index(&self) -> Option<Vec<FieldId>> {
        let (list, form) = self.packed()?;
        Some(packed::positions(list, form).map(|at| FieldId(at as u64)).collect())
    }

    /// A field, live or not, each as likely as the others. `index` is what [`HashRef::index`] returned.
    pub fn random(&self, index: Option<&[FieldId]>, random: &mut Random) -> Option<FieldId> {
        match (self, index) {
            (HashRef::Table(table), _) => table.random(random),
            (_, Some(index)) => index.get(random.below(index.len() as u64) as usize).copied(),
            (_, None) => {
                let (list, form) = self.packed()?;
                let number = random.below(self.len() as u64) as usize * form.stride();
                list.seek(number as i64).map(|at| FieldId(at as u64))
            }
        }
    }

    /// The field of an id.
    pub fn field(&self, id: FieldId) -> Field<'a> {
        match self {
            HashRef::Packed(list) => packed::field_at(*list, Form::Pairs, id.0 as usize),
            HashRef::Expiring(list) => packed::field_at(*list, Form::Triples, id.0 as usize),
            HashRef::Table(table) => table.field(id),
        }
    }
}
