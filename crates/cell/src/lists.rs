//! Lists such as `0-3,7`, as the kernel writes sets of processors and nodes.

/// Most numbers of one list.
const MOST: usize = 4096;

/// The numbers of a list.
///
/// # Errors
/// If it is malformed or longer than any machine needs.
pub fn numbers(text: &str) -> Result<Vec<u32>, ()> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| ());
        let (first, last) = (number(first)?, number(last)?);
        if last < first || last as usize >= MOST {
            return Err(());
        }
        found.extend(first..=last);
    }
    if found.len() > MOST { Err(()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_bounded() {
        assert_eq!(numbers("0-2, 7"), Ok(vec![0, 1, 2, 7]));
        assert_eq!(numbers(""), Ok(vec![]));
        for bad in ["a", "3-1", "0-4294967295", "-1", "1-", "99999"] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
    }
}
