//! A properties file, as Java's clients have it, and what is wrong with it. Knows no setting by name.

use std::path::Path;

use highwater_properties::{Error as Defect, FILE_BYTES_MAX, Pair};

use crate::error::{Error, Result};

/// The pairs of the file at `path`, in their order.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) when it cannot be read, is longer than 1 MiB, or has a broken escape.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let pairs = highwater_properties::read(path).map_err(|defect| {
        let path = path.display();
        match defect {
            Defect::Io(error) => {
                Error::config(format!("cannot read {path}: {error}")).with_source(error)
            }
            Defect::TooLong => Error::config(format!(
                "{path} is longer than {FILE_BYTES_MAX} bytes: this is no properties file"
            )),
            Defect::Escape(escape) => Error::config(format!("{path} {escape}")),
        }
    })?;
    Ok(pairs
        .into_iter()
        .map(|Pair { key, value, .. }| (key, value))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let error = read(Path::new("no-such.properties")).unwrap_err();
        assert!(error.to_string().contains("no-such.properties"), "{error}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"a=b\nc=\\u12\n").unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        let name = file.path().display().to_string();
        assert!(error.starts_with(&format!("{name} line 2: ")), "{error}");
    }
}
