//! Integers of 1 to 64 bits anywhere in a string, as BITFIELD reads, sets and increments them.
//!
//! A field may begin at any bit; its highest bit comes first. Signed ones are two's complement.
//!
//! Cost: O(1), at most nine bytes are touched.

/// Bytes a field of 64 bits can reach into.
const BYTES_MAX: usize = 9;

/// The type of a field: `i16`, `u8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    /// Whether the highest bit is a sign.
    pub is_signed: bool,
    /// Width in bits: 1 to 64, unsigned ones up to 63.
    pub bits: u32,
}

impl FieldType {
    /// The least value.
    #[must_use]
    pub fn least(self) -> i128 {
        if self.is_signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The greatest value.
    #[must_use]
    pub fn greatest(self) -> i128 {
        let value_bits = if self.is_signed { self.bits - 1 } else { self.bits };
        (1 << value_bits) - 1
    }

    /// What the low bits of `value` mean as such a field.
    fn wrap(self, value: i128) -> i64 {
        let unused = 128 - self.bits;
        let shifted = value << unused;
        let low =
            if self.is_signed { shifted >> unused } else { ((shifted as u128) >> unused) as i128 };
        low as i64
    }
}

/// What happens to a value that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// WRAP: its low bits are taken.
    #[default]
    Wrap,
    /// SAT: the nearest that fits is taken.
    Saturate,
    /// FAIL: nothing is written.
    Fail,
}

impl Overflow {
    /// The value to be written for `value`; `None`: nothing is. An unsigned field that is set to a negative number
    /// has, for Redis, got one that is too great.
    #[must_use]
    fn fit(self, field: FieldType, value: i128) -> Option<i64> {
        if (field.least()..=field.greatest()).contains(&value) {
            return Some(value as i64);
        }
        match self {
            Overflow::Wrap => Some(field.wrap(value)),
            Overflow::Saturate => Some(value.clamp(field.least(), field.greatest()) as i64),
            Overflow::Fail => None,
        }
    }
}

/// A field that was written, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// What it was.
    pub before: i64,
    /// What it is; `None`: the value did not fit, and it is what it was.
    pub after: Option<i64>,
}

/// The value of a field; what is beyond the string is 0.
#[must_use]
pub fn get(text: &[u8], offset: u64, field: FieldType) -> i64 {
    let mut window = [0; BYTES_MAX];
    let start = usize::try_from(offset / 8).unwrap_or(usize::MAX).min(text.len());
    let there = &text[start..text.len().min(start.saturating_add(BYTES_MAX))];
    window[..there.len()].copy_from_slice(there);
    let above = window.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let below = BYTES_MAX as u32 * 8 - field.bits - (offset % 8) as u32;
    field.wrap((above >> below) as i128)
}

/// Writes the low bits of `value`; the field is within the string.
fn put(text: &mut [u8], offset: u64, field: FieldType, value: i64) {
    let start = (offset / 8) as usize;
    let first_bit = (offset % 8) as u32;
    let len = (first_bit + field.bits).div_ceil(8) as usize;
    let Some(place) = text.get_mut(start..start + len) else { return };
    let below = len as u32 * 8 - field.bits - first_bit;
    let mask = ((1u128 << field.bits) - 1) << below;
    let above = place.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let changed = above & !mask | (value as u128) << below & mask;
    place.copy_from_slice(&changed.to_be_bytes()[16 - len..]);
}

/// Sets a field, which is within the string.
pub fn set(
    text: &mut [u8],
    offset: u64,
    field: FieldType,
    value: i64,
    overflow: Overflow,
) -> Written {
    let before = get(text, offset, field);
    // An unsigned field reads the number as unsigned: -1 is the greatest there is.
    let mut wanted = if field.is_signed { i128::from(value) } else { i128::from(value as u64) };
    // Redis reckons in 64 bits how far the greatest is away, and what is farther below than that counts as too great.
    let is_far_below = field.greatest() - wanted > i128::from(i64::MAX);
    if is_far_below && overflow == Overflow::Saturate && field.bits < 64 {
        wanted = field.greatest();
    }
    write(text, offset, field, before, overflow.fit(field, wanted))
}

/// Adds to a field, which is within the string.
pub fn increment(
    text: &mut [u8],
    offset: u64,
    field: FieldType,
    by: i64,
    overflow: Overflow,
) -> Written {
    let before = get(text, offset, field);
    let sum = i128::from(before) + i128::from(by);
    write(text, offset, field, before, overflow.fit(field, sum))
}

fn write(
    text: &mut [u8],
    offset: u64,
    field: FieldType,
    before: i64,
    after: Option<i64>,
) -> Written {
    if let Some(value) = after {
        put(text, offset, field, value);
    }
    Written { before, after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn signed(bits: u32) -> FieldType {
        FieldType { is_signed: true, bits }
    }

    const fn unsigned(bits: u32) -> FieldType {
        FieldType { is_signed: false, bits }
    }

    fn any_field() -> impl Strategy<Value = FieldType> {
        prop_oneof![(1u32..=64).prop_map(signed), (1u32..=63).prop_map(unsigned)]
    }

    /// Bit by bit, from the definition.
    fn naive(text: &[u8], offset: u64, field: FieldType) -> i128 {
        let bit = |at: u64| text.get((at / 8) as usize).map_or(0, |byte| byte >> (7 - at % 8) & 1);
        let mut value = 0;
        for at in offset..offset + u64::from(field.bits) {
            value = value << 1 | i128::from(bit(at));
        }
        if field.is_signed && value > field.greatest() { value - (1 << field.bits) } else { value }
    }

    #[test]
    fn ranges() {
        assert_eq!((signed(64).least(), signed(64).greatest()), (i64::MIN.into(), i64::MAX.into()));
        assert_eq!((signed(1).least(), signed(1).greatest()), (-1, 0));
        assert_eq!((unsigned(63).least(), unsigned(63).greatest()), (0, i64::MAX.into()));
    }

    #[test]
    fn what_does_not_fit() {
        let mut text = [0; 2];
        let mut set_to = |field, value, overflow| set(&mut text, 3, field, value, overflow).after;
        assert_eq!(set_to(unsigned(8), -1, Overflow::Wrap), Some(255));
        assert_eq!(set_to(unsigned(8), -1, Overflow::Saturate), Some(255));
        assert_eq!(set_to(unsigned(8), -1, Overflow::Fail), None);
        assert_eq!(set_to(signed(8), 200, Overflow::Wrap), Some(-56));
        assert_eq!(set_to(signed(8), -200, Overflow::Saturate), Some(-128));
        assert_eq!(set_to(signed(8), i64::MIN + 128, Overflow::Saturate), Some(-128));
        assert_eq!(set_to(signed(8), i64::MIN + 127, Overflow::Saturate), Some(127));
        assert_eq!(set_to(signed(8), i64::MIN + 127, Overflow::Wrap), Some(127));
        assert_eq!(set_to(signed(64), i64::MIN, Overflow::Saturate), Some(i64::MIN));
        let mut text = [0xff; 9];
        let add =
            |text: &mut [u8], field, by, overflow| increment(text, 1, field, by, overflow).after;
        assert_eq!(add(&mut text, unsigned(63), 2, Overflow::Wrap), Some(1));
        assert_eq!(add(&mut text, unsigned(63), -2, Overflow::Saturate), Some(0));
        assert_eq!(add(&mut text, signed(64), i64::MIN, Overflow::Wrap), Some(1 + i64::MIN));
        assert_eq!(add(&mut text, signed(64), i64::MIN, Overflow::Wrap), Some(1));
        assert_eq!(add(&mut text, signed(64), i64::MAX, Overflow::Fail), None);
        assert_eq!(get(&text, 1, signed(64)), 1);
    }

    proptest! {
        #[test]
        fn as_bit_by_bit(
            text in prop::collection::vec(any::<u8>(), 0..24),
            offset in 0u64..200,
            field in any_field(),
            value: i64,
        ) {
            prop_assert_eq!(i128::from(get(&text, offset, field)), naive(&text, offset, field));
            let mut changed = text.clone();
            changed.resize(40, 0);
            let before = changed.clone();
            let written = set(&mut changed, offset, field, value, Overflow::Wrap);
            prop_assert_eq!(i128::from(written.before), naive(&text, offset, field));
            prop_assert_eq!(written.after.map(i128::from), Some(naive(&changed, offset, field)));
            // Nothing else has changed.
            let end = offset + u64::from(field.bits);
            for at in (0..320u64).filter(|at| !(offset..end).contains(at)) {
                let one = unsigned(1);
                prop_assert_eq!(naive(&before, at, one), naive(&changed, at, one));
            }
        }

        #[test]
        fn sums_wrap_at_the_width(field in any_field(), start: i64, by: i64) {
            let mut text = [0; 9];
            let before = set(&mut text, 5, field, start, Overflow::Wrap).after.unwrap_or(0);
            let sum = i128::from(before) + i128::from(by);
            let after = increment(&mut text, 5, field, by, Overflow::Wrap).after.unwrap_or(0);
            prop_assert_eq!((sum - i128::from(after)).rem_euclid(1 << field.bits), 0);
            prop_assert!((field.least()..=field.greatest()).contains(&i128::from(after)));
            prop_assert_eq!(get(&text, 5, field), after);
        }
    }
}
