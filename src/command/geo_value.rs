//! What the families of geo commands share: places and units from arguments, distances and coordinates to the reply.
use crate::base::number::parse_f64;
use crate::command::options::is;
use crate::engine::error::CmdError;
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::geo::Position;

/// Reads longitude and latitude at `index` and the argument after it.
pub(super) fn position_at(args: Args<'_>, index: usize) -> Result<Position, CmdError> {
    let degrees = |index: usize| parse_f64(args.at(index)).ok_or(CmdError::NotFloat);
    let position = Position { longitude: degrees(index)?, latitude: degrees(index + 1)? };
    if !position.is_valid() {
        let Position { longitude, latitude } = position;
        let pair = format!("{longitude:.6},{latitude:.6}");
        return Err(CmdError::owned(&[b"ERR invalid longitude,latitude pair ", pair.as_bytes()]));
    }
    Ok(position)
}

/// Reads a unit: how many metres it has.
pub(super) fn unit_meters(word: &[u8]) -> Result<f64, CmdError> {
    match word {
        _ if is(word, "m") => Ok(1.0),
        _ if is(word, "km") => Ok(1000.0),
        _ if is(word, "ft") => Ok(0.3048),
        _ if is(word, "mi") => Ok(1609.34),
        _ => Err(CmdError::Text("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// Replies with a distance: four digits after the point.
pub(super) fn show_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even();
    // What is no distance (from one end of the earth to the other rounding may make none) C turns into this.
    let is_some = (-9.3e18..9.2e18).contains(&scaled);
    let scaled = if is_some { scaled as i64 } else { i64::MIN };
    let sign = if scaled < 0 { "-" } else { "" };
    let scaled = scaled.unsigned_abs();
    let text = format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000);
    reply.bulk(text.as_bytes());
}

/// Replies with longitude and latitude.
pub(super) fn show_position(reply: &mut Reply<'_>, position: Position) {
    reply.array(2);
    reply.human_double(position.longitude);
    reply.human_double(position.latitude);
}
