//! x
use crate::engine::engine::Shared;use crate::engine::session::Session;use crate::proto::args::Args;
/// x
pub fn feed(_shared: &mut Shared, _session: &Session, _args: Args<'_>) {}
