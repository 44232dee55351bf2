//! Standard output, buffered, and errors of it that are none.

use std::error::Error;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// Standard output with a large buffer; flush it at the end.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 18, io::stdout().lock())
}

/// Whether an error only says that the reader of our output is gone.
pub(crate) fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Writes bytes as text: what is no UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One JSON value and a line end.
pub(crate) fn json_line(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// One error for all that failed, each on a line of its own.
pub(crate) fn all(
    results: impl IntoIterator<Item = (String, highwater::Result<()>)>,
) -> crate::Result<()> {
    let failed: Vec<String> = results
        .into_iter()
        .filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?)))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\nhighwater: ").into())
    }
}
