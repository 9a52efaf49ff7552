//! Reads the tables of `ARCHITECTURE.md`, which are the data of these tests.

use std::path::Path;

/// The rows of the one table with these columns.
///
/// # Errors
/// When the file has no such table, or has it twice.
pub(super) fn rows<const N: usize>(
    root: &Path,
    columns: [&str; N],
) -> Result<Vec<[String; N]>, String> {
    let path = root.join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path:?}: {error}"))?;
    let mut lines = text.lines().map(cells::<N>);
    let mut tables = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_some_and(|header| header == columns) {
            // The line of dashes under the header is the first.
            let rows: Vec<_> = lines.by_ref().map_while(|line| line).skip(1).collect();
            tables.push(rows);
        }
    }
    let columns = columns.join(" | ");
    match tables.len() {
        1 => Ok(tables.swap_remove(0)),
        0 => Err(format!("ARCHITECTURE.md has no table `{columns}`")),
        many => Err(format!("ARCHITECTURE.md has {many} tables `{columns}`")),
    }
}

/// The names in back-ticks of a cell.
pub(super) fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn cells<const N: usize>(line: &str) -> Option<[String; N]> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
    cells.try_into().ok()
}
