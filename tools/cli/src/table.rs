//! Columns of text that line up.

use std::io::{self, Write};

/// Prints a heading and rows; every column is as wide as its widest cell, the last one ragged.
pub(crate) fn print<const N: usize>(
    out: &mut impl Write,
    heading: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heading = heading.map(str::to_owned);
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A cell for what may not be known.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_end_in_blanks() {
        let mut out = Vec::new();
        let rows = [
            ["orders".to_owned(), "1".to_owned()],
            ["a".to_owned(), or_dash(None::<i64>)],
        ];
        print(&mut out, ["TOPIC", "LAG"], &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "TOPIC   LAG\norders  1\na       -\n"
        );
    }
}
