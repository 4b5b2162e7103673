//! LOLWUT: a picture, and the version.
//!
//! `LOLWUT VERSION 5 [columns] [circles per row] [rows of circles]` draws rings that lose their order towards
//! the bottom, `LOLWUT VERSION 6 [columns] [rows]` hills under stars, anything else nothing but the version.
//! Promise: a picture has at most a fixed number of dots, whatever is asked for. Every random choice is the
//! engine's, so a seed repeats the picture.
use crate::base::number;
use crate::base::random::Random;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::info::REDIS_VERSION;
use crate::proto::args::Args;

const COLUMNS_MAX: i64 = 1000;
/// Most dots from top to bottom of a picture of rings.
/// DIFFERS: Redis draws up to 400 000 of them, which takes seconds and a gigabyte.
const RINGS_HEIGHT_MAX: usize = 4000;

pub(super) fn lolwut(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_version_given = args.len() >= 3 && args.at(1).eq_ignore_ascii_case(b"version");
    // Redis keeps 32 bits of the version it was asked for.
    let version = if is_version_given { integer(args.at(2))? as u32 } else { 7 };
    let first = if is_version_given { 3 } else { 1 };
    let option = |index: usize, default: i64, max: i64| -> Result<usize, CmdError> {
        let value =
            if first + index < args.len() { integer(args.at(first + index))? } else { default };
        Ok(value.clamp(1, max) as usize)
    };
    let mut text = match version {
        5 => {
            let (columns, per_row) = (option(0, 66, COLUMNS_MAX)?, option(1, 8, 200)?);
            rings(columns, per_row, option(2, 12, 200)?, &mut ctx.engine.random)
        }
        6 => {
            let (columns, rows) = (option(0, 80, COLUMNS_MAX)?, option(1, 20, 1000)?);
            hills(columns, rows, &mut ctx.engine.random)
        }
        _ => String::new(),
    };
    text.push_str("Redis ver. ");
    text.push_str(REDIS_VERSION);
    text.push('\n');
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn integer(text: &[u8]) -> Result<i64, CmdError> {
    number::parse_i64(text).ok_or(CmdError::NotInteger)
}

/// A number from -1 to 1.
fn swing(random: &mut Random) -> f64 {
    random.below(2001) as f64 / 1000.0 - 1.0
}

/// Black dots on nothing, two by four to a character.
struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<bool>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Canvas {
        Canvas { width, height, dots: vec![false; width * height] }
    }

    /// A dot outside is not drawn.
    fn draw(&mut self, x: f64, y: f64) {
        let (x, y) = (x.round(), y.round());
        if x >= 0.0 && y >= 0.0 && (x as usize) < self.width && (y as usize) < self.height {
            self.dots[x as usize + y as usize * self.width] = true;
        }
    }

    fn circle(&mut self, x: f64, y: f64, radius: f64) {
        // About two steps per dot of the circumference, so that no gap is left.
        let steps = (radius * 12.6).ceil().max(1.0) as usize;
        for step in 0..steps {
            let angle = step as f64 / steps as f64 * std::f64::consts::TAU;
            self.draw(x + radius * angle.cos(), y + radius * angle.sin());
        }
    }

    /// Braille patterns: U+2800 and one bit per dot.
    fn to_braille(&self) -> String {
        const BIT_AT: [(usize, usize); 8] =
            [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
        let is_set =
            |x: usize, y: usize| x < self.width && y < self.height && self.dots[x + y * self.width];
        let mut text = String::new();
        for y in (0..self.height).step_by(4) {
            for x in (0..self.width).step_by(2) {
                let bits = BIT_AT.iter().enumerate();
                let code = bits.fold(0x2800, |code, (bit, (dx, dy))| {
                    code | u32::from(is_set(x + dx, y + dy)) << bit
                });
                text.extend(char::from_u32(code));
            }
            text.push('\n');
        }
        text
    }
}

/// Rows of rings in rings; the further down, the less they keep to their places.
fn rings(columns: usize, per_row: usize, rows: usize, random: &mut Random) -> String {
    let width = columns * 2;
    let side = width as f64 / per_row as f64;
    let height = ((side * rows as f64) as usize).clamp(1, RINGS_HEIGHT_MAX);
    let mut canvas = Canvas::new(width, height);
    for row in 0..rows.min((height as f64 / side).ceil() as usize) {
        // The first rows stand still.
        let disorder = row.saturating_sub(1) as f64 / rows as f64;
        for column in 0..per_row {
            let x = (column as f64 + 0.5 + swing(random) * disorder / 2.0) * side;
            let y = (row as f64 + 0.5 + swing(random) * disorder / 2.0) * side;
            let radius = side / 2.0 * (0.9 - disorder * 0.5 * swing(random).abs());
            canvas.circle(x, y, radius);
            canvas.circle(x + swing(random) * disorder * radius / 2.0, y, radius / 2.0);
        }
    }
    canvas.to_braille() + "\nRings that fall out of line, drawn by rufous. "
}

/// Three ranges of hills, the near ones darker, and a few stars above them.
fn hills(columns: usize, rows: usize, random: &mut Random) -> String {
    let ranges: Vec<(char, Vec<usize>)> = [('░', 0.75), ('▒', 0.5), ('▓', 0.3)]
        .into_iter()
        .map(|(shade, share)| (shade, ridge(columns, rows as f64 * share, random)))
        .collect();
    let mut text = String::new();
    for row in 0..rows {
        let altitude = rows - row;
        for column in 0..columns {
            // The nearest range that reaches this high hides those behind it.
            let near = ranges.iter().rev().find(|(_, ridge)| ridge[column] >= altitude);
            let star = if random.below(40) == 0 { '·' } else { ' ' };
            text.push(near.map_or(star, |(shade, _)| *shade));
        }
        text.push('\n');
    }
    text + "\nHills at night, drawn by rufous. "
}

/// The height of a range at each column: two waves and a walk.
fn ridge(columns: usize, top: f64, random: &mut Random) -> Vec<usize> {
    let (phase, length) = (swing(random) * 3.0, 9.0 + swing(random) * 3.0);
    let mut walk = 0.0f64;
    (0..columns)
        .map(|column| {
            walk = (walk + swing(random) * 0.05).clamp(-0.2, 0.2);
            let at = column as f64 / length + phase;
            let height = 0.6 + 0.2 * at.sin() + 0.1 * (at * 2.7).sin() + walk;
            (height * top).max(0.0) as usize
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_size_that_was_asked_for() {
        let mut random = Random::from_seed(1);
        let lines = rings(10, 2, 3, &mut random);
        // Three rows of 10 dots are 30 dots, 8 lines; then an empty line and the title.
        assert_eq!(lines.lines().count(), 8 + 2);
        assert!(lines.lines().take(8).all(|line| line.chars().count() == 10));
        assert!(lines.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)));
        let lines = hills(30, 5, &mut random);
        assert_eq!(lines.lines().count(), 5 + 2);
        assert!(lines.lines().take(5).all(|line| line.chars().count() == 30));
    }

    #[test]
    fn the_largest_picture_is_bounded() {
        let mut random = Random::from_seed(1);
        let text = rings(1000, 1, 200, &mut random);
        assert_eq!(text.lines().count(), RINGS_HEIGHT_MAX / 4 + 2);
    }

    #[test]
    fn a_circle_is_drawn_as_braille() {
        let mut canvas = Canvas::new(2, 4);
        canvas.draw(0.0, 0.0);
        canvas.draw(1.0, 3.0);
        canvas.draw(5.0, -2.0);
        assert_eq!(canvas.to_braille(), "\u{2881}\n");
    }
}
