//! `highwater log`: looks into log directories, offline and without changing them.

mod dump;
mod segment;
mod verify;
mod walk;

use crate::Result;
use crate::arguments::Log;

/// Runs one of the commands.
pub(crate) fn log(command: &Log) -> Result<()> {
    match command {
        Log::Dump {
            paths,
            records,
            json,
        } => dump::dump(paths, *records, *json),
        Log::Verify { paths, json } => verify::verify(paths, *json),
    }
}
