//! Columns as Go's `tabwriter` lines them up for Docker: at least ten wide, three blanks between, the last one free.

/// Narrowest column, padding included.
const NARROWEST: usize = 10;
/// Blanks behind the widest cell.
const PADDING: usize = 3;

/// Lines up lines whose cells are separated by tabs. A run of lines that have a cell in a column shares its width.
pub fn align(text: &str) -> String {
    align_from(text, NARROWEST)
}

/// As [`align`] with another narrowest column.
pub fn align_from(text: &str, narrowest: usize) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths = vec![Vec::new(); lines.len()];
    block(&lines, (0, lines.len()), 0, narrowest, &mut widths);
    let mut aligned = String::with_capacity(text.len() * 2);
    for (at, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if at > 0 {
            aligned.push('\n');
        }
        for (column, cell) in cells.iter().enumerate() {
            aligned.push_str(cell);
            if column + 1 < cells.len() {
                let width = widths.get(column).copied().unwrap_or(narrowest);
                aligned.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
    }
    aligned
}

/// Widths of one column and what hangs below it, for the lines `from..to` that share the columns before.
fn block(lines: &[Vec<&str>], (from, to): (usize, usize), column: usize, narrowest: usize, widths: &mut [Vec<usize>]) {
    let has = |line: usize| lines.get(line).is_some_and(|cells| cells.len() > column + 1);
    let mut at = from;
    while at < to {
        if !has(at) {
            at += 1;
            continue;
        }
        let start = at;
        while at < to && has(at) {
            at += 1;
        }
        let cell =
            |line: usize| lines.get(line).and_then(|cells| cells.get(column)).map_or(0, |cell| cell.chars().count());
        let widest = (start..at).map(cell).max().unwrap_or(0);
        let width = (widest + PADDING).max(narrowest);
        for line in widths.iter_mut().take(at).skip(start) {
            line.push(width);
        }
        block(lines, (start, at), column + 1, narrowest, widths);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let text = "CONTAINER ID\tIMAGE\tNAMES\n0123456789ab\tdebian:bookworm\tweb\n\n";
        let expected = "CONTAINER ID   IMAGE             NAMES\n0123456789ab   debian:bookworm   web\n\n";
        assert_eq!(align(text), expected);
        assert_eq!(align("A\tB\nx\ty"), "A         B\nx         y");
        assert_eq!(align("no cells"), "no cells");
        assert_eq!(align("é\tb\nab\tc"), "é         b\nab        c");
    }

    #[test]
    fn many_columns_do_not_recurse_for_ever() {
        assert!(align(&"\t".repeat(500)).len() >= 5000);
    }
}
