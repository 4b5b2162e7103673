//! Places on the earth as scores of a sorted set: the arithmetic of the GEO commands.
//!
//! A place becomes a number of 52 bits, longitude and latitude interleaved, the highest bits first. So the places of a
//! box whose sides are halvings of the earth's are one range of scores, and a search looks at nine such boxes around
//! its centre, each at least about as wide as what is searched.
//!
//! ```text
//!   latitude   ±85.05112878 °, 26 bits on even places        ┌────┬────┬────┐
//!   longitude  ±180 °,         26 bits on odd places         │ NW │ N  │ NE │   the step is the number of
//!                                                            ├────┼────┼────┤   halvings of each side
//!                                                            │ W  │  · │ E  │
//!                                                            ├────┼────┼────┤
//!                                                            │ SW │ S  │ SE │
//!                                                            └────┴────┴────┘
//! ```
//!
//! All arithmetic is Redis's, operation by operation: which places are found, in which order, and every digit depend on
//! it. Cost: O(1), some 50 to 100 ns where angles are needed.

/// Greatest latitude, where the projection ends that maps of the web use (EPSG:3857).
pub const LATITUDE_MAX: f64 = 85.051_128_78;
/// Greatest longitude.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Halvings of a side in a score.
const STEP_MAX: u32 = 26;
/// Half the earth's circumference in the projection, in metres, as the steps are estimated by.
const MERCATOR_MAX: f64 = 20_037_726.37;
const EARTH_RADIUS_METERS: f64 = 6_372_797.560_856;
const DEGREE: f64 = std::f64::consts::PI / 180.0;
/// Characters of a standard geohash.
const HASH_LENGTH: usize = 11;
const HASH_ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Latitudes and longitudes in a score.
const PLACES_OF_LATITUDE: u64 = 0x5555_5555_5555_5555;
const PLACES_OF_LONGITUDE: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

impl Position {
    /// Whether it can be encoded.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&self.longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&self.latitude)
    }

    /// The score of a valid position.
    #[must_use]
    pub fn score(&self) -> f64 {
        Cell::around(*self, STEP_MAX, LATITUDE_MAX).bits as f64
    }

    /// The position of a score: the middle of its cell. Scores that no position has give one too.
    #[must_use]
    pub fn of_score(score: f64) -> Position {
        let area = Cell { bits: bits_of(score), step: STEP_MAX }.area();
        let middle = |sides: Sides, max: f64| ((sides.low + sides.high) / 2.0).clamp(-max, max);
        Position {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    /// The geohash others know, from ±90 ° of latitude; its last character is always 0, for want of bits.
    #[must_use]
    pub fn standard_hash(&self) -> [u8; HASH_LENGTH] {
        let bits = Cell::around(*self, STEP_MAX, 90.0).bits;
        std::array::from_fn(|at| {
            let shift = 47i32 - 5 * at as i32;
            let index = if shift >= 0 { bits >> shift & 0x1f } else { 0 };
            HASH_ALPHABET[index as usize]
        })
    }

    /// Metres along the earth, taken for a sphere.
    #[must_use]
    pub fn distance_to(&self, other: &Position) -> f64 {
        let half_chord = ((other.longitude * DEGREE - self.longitude * DEGREE) / 2.0).sin();
        if half_chord == 0.0 {
            return latitudes_apart(self.latitude, other.latitude);
        }
        let (from, to) = (self.latitude * DEGREE, other.latitude * DEGREE);
        let rise = ((to - from) / 2.0).sin();
        let square = rise * rise + from.cos() * to.cos() * half_chord * half_chord;
        2.0 * EARTH_RADIUS_METERS * square.sqrt().asin()
    }
}

/// Metres from one latitude to another.
fn latitudes_apart(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_METERS * (to * DEGREE - from * DEGREE).abs()
}

/// A score as bits, as a processor converts it: also negative ones and those of no position.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let signed = |number: f64| {
        if (-HALF..HALF).contains(&number) { number as i64 } else { i64::MIN }
    };
    if score >= HALF { signed(score - HALF) as u64 ^ 1 << 63 } else { signed(score) as u64 }
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All up to this distance.
    Circle {
        /// In units.
        radius: f64,
    },
    /// All up to half of these to each side.
    Rectangle {
        /// From west to east, in units.
        width: f64,
        /// From south to north, in units.
        height: f64,
    },
}

/// A shape around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The middle.
    pub center: Position,
    /// Its form and size.
    pub shape: Shape,
    /// Metres per unit.
    pub unit_meters: f64,
}

impl Area {
    /// The distance of a place in metres, if it is inside.
    #[must_use]
    pub fn distance_to(&self, place: &Position) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance = self.center.distance_to(place);
                let is_outside = distance > radius * self.unit_meters;
                (!is_outside).then_some(distance)
            }
            Shape::Rectangle { width, height } => {
                let width = width * self.unit_meters;
                let height = height * self.unit_meters;
                if latitudes_apart(place.latitude, self.center.latitude) > height / 2.0 {
                    return None;
                }
                let across = Position { longitude: self.center.longitude, ..*place };
                if place.distance_to(&across) > width / 2.0 {
                    return None;
                }
                Some(self.center.distance_to(place))
            }
        }
    }

    /// The scores that have to be looked at: ranges from the first to before the second, in order of the search. At
    /// most nine.
    #[must_use]
    pub fn score_ranges(&self) -> Vec<(f64, f64)> {
        let boxes = self.boxes();
        let mut ranges = Vec::with_capacity(boxes.len());
        // Around the whole earth a box can be its own neighbour on two sides. Redis compares with the box before only,
        // and never with the first.
        let mut last: Option<(usize, Cell)> = None;
        for (index, cell) in boxes.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            let is_again = last.is_some_and(|(before, other)| before != 0 && other == cell);
            if !is_again {
                ranges.push(cell.scores());
                last = Some((index, cell));
            }
        }
        ranges
    }

    /// The box in the middle and those around it, without those the shape does not reach into.
    fn boxes(&self) -> [Option<Cell>; 9] {
        let bounds = self.bounds();
        let mut step = self.estimated_step();
        let mut cell = Cell::around(self.center, step, LATITUDE_MAX);
        if step > 1 && !cell.neighbours_cover(&bounds) {
            step -= 1;
            cell = Cell::around(self.center, step, LATITUDE_MAX);
        }
        let area = cell.area();
        let is_exact = step >= 2;
        let reaches_south = !(is_exact && area.latitude.low < bounds.latitude.low);
        let reaches_north = !(is_exact && area.latitude.high > bounds.latitude.high);
        let reaches_west = !(is_exact && area.longitude.low < bounds.longitude.low);
        let reaches_east = !(is_exact && area.longitude.high > bounds.longitude.high);
        let at =
            |east: i8, north: i8, is_reached: bool| is_reached.then(|| cell.neighbour(east, north));
        [
            Some(cell),
            at(0, 1, reaches_north),
            at(0, -1, reaches_south),
            at(1, 0, reaches_east),
            at(-1, 0, reaches_west),
            at(1, 1, reaches_north && reaches_east),
            at(-1, 1, reaches_north && reaches_west),
            at(1, -1, reaches_south && reaches_east),
            at(-1, -1, reaches_south && reaches_west),
        ]
    }

    /// The sides of a box around the shape. Meridians converge: it is as wide as the shape is where that is nearest to
    /// a pole (Redis takes the other end south of the equator).
    fn bounds(&self) -> Bounds {
        let (across, along) = match self.shape {
            Shape::Circle { radius } => (self.unit_meters * radius, self.unit_meters * radius),
            Shape::Rectangle { width, height } => {
                (self.unit_meters * (width / 2.0), self.unit_meters * (height / 2.0))
            }
        };
        let Position { longitude, latitude } = self.center;
        let rise = along / EARTH_RADIUS_METERS / DEGREE;
        let edge = if latitude < 0.0 { latitude - rise } else { latitude + rise };
        let turn = across / EARTH_RADIUS_METERS / (edge * DEGREE).cos() / DEGREE;
        Bounds {
            longitude: Sides { low: longitude - turn, high: longitude + turn },
            latitude: Sides { low: latitude - rise, high: latitude + rise },
        }
    }

    /// How often the earth can be halved for boxes that are still wide enough, by a rule of thumb.
    fn estimated_step(&self) -> u32 {
        let reach = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        let mut reach = reach * self.unit_meters;
        if reach == 0.0 {
            return STEP_MAX;
        }
        let mut step = 1;
        while reach < MERCATOR_MAX {
            reach *= 2.0;
            step += 1;
        }
        step -= 2;
        let latitude = self.center.latitude;
        if !(-66.0..=66.0).contains(&latitude) {
            step -= 1;
            if !(-80.0..=80.0).contains(&latitude) {
                step -= 1;
            }
        }
        step.clamp(1, STEP_MAX as i32) as u32
    }
}

/// From and to, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sides {
    low: f64,
    high: f64,
}

/// A box on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    longitude: Sides,
    latitude: Sides,
}

/// One of the boxes that so many halvings make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    step: u32,
}

impl Cell {
    /// The cell a valid position is in, where latitudes reach to ±`latitude_max`.
    fn around(position: Position, step: u32, latitude_max: f64) -> Cell {
        let share = |degrees: f64, max: f64| (degrees + max) / (max + max);
        let cells = (1u64 << step) as f64;
        let latitude = (share(position.latitude, latitude_max) * cells) as u32;
        let longitude = (share(position.longitude, LONGITUDE_MAX) * cells) as u32;
        Cell { bits: spread(latitude) | spread(longitude) << 1, step }
    }

    fn area(self) -> Bounds {
        let sides = |index: u32, max: f64| {
            let cells = (1u64 << self.step) as f64;
            let at = |index: u32| -max + (f64::from(index) / cells) * (max + max);
            Sides { low: at(index), high: at(index.wrapping_add(1)) }
        };
        Bounds {
            longitude: sides(gather(self.bits >> 1), LONGITUDE_MAX),
            latitude: sides(gather(self.bits), LATITUDE_MAX),
        }
    }

    /// Whether the cells next to this one reach to these bounds.
    fn neighbours_cover(self, bounds: &Bounds) -> bool {
        let (north, south) = (self.neighbour(0, 1).area(), self.neighbour(0, -1).area());
        let (east, west) = (self.neighbour(1, 0).area(), self.neighbour(-1, 0).area());
        let is_short = north.latitude.high < bounds.latitude.high
            || south.latitude.low > bounds.latitude.low
            || east.longitude.high < bounds.longitude.high
            || west.longitude.low > bounds.longitude.low;
        !is_short
    }

    /// The cell so many to the east and the north, -1 to 1, around the earth.
    fn neighbour(self, east: i8, north: i8) -> Cell {
        let longitude = self.moved(east, PLACES_OF_LONGITUDE);
        let latitude = self.moved(north, PLACES_OF_LATITUDE);
        Cell { bits: longitude | latitude, ..self }
    }

    /// One of the two interleaved numbers, moved by one.
    fn moved(self, by: i8, own: u64) -> u64 {
        let unused = 64 - 2 * self.step;
        let (bits, gaps) = (self.bits & own, !own >> unused);
        let moved = match by {
            0 => return bits,
            // The gaps pass a carry or a borrow on.
            1.. => bits.wrapping_add(gaps + 1),
            _ => (bits | gaps).wrapping_sub(gaps + 1),
        };
        moved & own >> unused
    }

    /// Its scores: from the first to before the second.
    fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEP_MAX - self.step);
        ((self.bits << shift) as f64, (self.bits.wrapping_add(1) << shift) as f64)
    }
}

/// Puts the bits of a number on even places.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in SPREADS {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The number on even places.
fn gather(bits: u64) -> u32 {
    let mut number = bits & PLACES_OF_LATITUDE;
    for (shift, mask) in GATHERS {
        number = (number | number >> shift) & mask;
    }
    number as u32
}

const SPREADS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, PLACES_OF_LATITUDE),
];

const GATHERS: [(u32, u64); 5] = [
    (1, 0x3333_3333_3333_3333),
    (2, 0x0f0f_0f0f_0f0f_0f0f),
    (4, 0x00ff_00ff_00ff_00ff),
    (8, 0x0000_ffff_0000_ffff),
    (16, 0x0000_0000_ffff_ffff),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(longitude: f64, latitude: f64) -> Position {
        Position { longitude, latitude }
    }

    fn any_place() -> impl Strategy<Value = Position> {
        let degrees = |max: f64| prop_oneof![8 => -max..=max, 1 => Just(max), 1 => Just(-max)];
        (degrees(LONGITUDE_MAX), degrees(LATITUDE_MAX)).prop_map(|(east, north)| place(east, north))
    }

    #[test]
    fn the_places_of_the_manual() {
        let palermo = place(13.361389, 38.115556);
        let catania = place(15.087269, 37.502669);
        assert_eq!(palermo.score(), 3479099956230698.0);
        assert_eq!(catania.score(), 3479447370796909.0);
        let (palermo, catania) =
            (Position::of_score(palermo.score()), Position::of_score(catania.score()));
        assert_eq!(palermo, place(13.361_389_338_970_184, 38.115_556_395_496_3));
        assert_eq!(&palermo.standard_hash(), b"sqc8b49rny0");
        assert_eq!(&catania.standard_hash(), b"sqdtr74hyu0");
        assert_eq!((palermo.distance_to(&catania) * 1e4).round(), 1_662_741_516.0);
    }

    #[test]
    fn scores_of_no_place() {
        assert_eq!(bits_of(-1.0), u64::MAX);
        assert_eq!(bits_of(f64::INFINITY), 0);
        assert_eq!(bits_of(f64::NEG_INFINITY), 1 << 63);
        assert_eq!(bits_of(1.9), 1);
        assert_eq!(bits_of((1u64 << 63) as f64), 1 << 63);
        for score in [-1.0, 1e300, -1e300, 5e15, f64::INFINITY] {
            assert!(Position::of_score(score).is_valid());
        }
    }

    #[test]
    fn the_whole_earth_is_searched_once() {
        let area = Area {
            center: place(0.1, 0.1),
            shape: Shape::Circle { radius: 30_000.0 },
            unit_meters: 1000.0,
        };
        let mut ranges = area.score_ranges();
        ranges.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(ranges.len(), 4);
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    proptest! {
        #[test]
        fn numbers_are_interleaved(number: u32, other: u32) {
            prop_assert_eq!(gather(spread(number)), number);
            let both = spread(number) | spread(other) << 1;
            prop_assert_eq!((gather(both), gather(both >> 1)), (number, other));
            for at in 0..32 {
                prop_assert_eq!(both >> (2 * at) & 1, u64::from(number >> at & 1));
            }
        }

        #[test]
        fn a_score_is_near_its_place(place in any_place()) {
            let again = Position::of_score(place.score());
            prop_assert!(again.is_valid());
            // A cell is 0.6 by 0.3 metres at most.
            prop_assert!(place.distance_to(&again) < 0.8, "{place:?} {again:?}");
        }

        #[test]
        fn what_is_inside_is_in_the_boxes(
            // Where a shape reaches over a pole or the date line Redis misses some, and so do we.
            (longitude, latitude) in (-120.0f64..120.0, 0.0f64..60.0),
            places in prop::collection::vec((any_place(), -1.0f64..1.0, -1.0f64..1.0), 1..20),
            size in 0.1f64..2_000_000.0,
            ratio in 0.1f64..1.0,
            is_circle: bool,
        ) {
            let center = place(longitude, latitude);
            let shape = match is_circle {
                true => Shape::Circle { radius: size },
                false => Shape::Rectangle { width: size, height: size * ratio },
            };
            let area = Area { center, shape, unit_meters: 1.0 };
            let ranges = area.score_ranges();
            for (far, east, north) in places {
                let near = place(
                    (center.longitude + east * size / 50_000.0).clamp(-180.0, 180.0),
                    (center.latitude + north * size / 110_000.0).clamp(-85.0, 85.0),
                );
                for score in [far.score(), near.score()] {
                    if area.distance_to(&Position::of_score(score)).is_some() {
                        let holds = |range: &(f64, f64)| (range.0..range.1).contains(&score);
                        let is_found = ranges.iter().any(holds);
                        prop_assert!(is_found, "{area:?} {:?}", Position::of_score(score));
                    }
                }
            }
        }
    }
}
