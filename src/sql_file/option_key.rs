//! The keys of options in statements: `name` for all columns, `name.<column>` for one of them.

/// Returns the column that a key is about, if it is of the option: `None` inside for all columns. The option
/// may be written in any case, and the name of a column keeps its own.
pub(crate) fn column_of<'k>(option: &str, key: &'k str) -> Option<Option<&'k str>> {
    let (name, rest) = key.split_at_checked(option.len())?;
    if !name.eq_ignore_ascii_case(option) {
        return None;
    }
    match rest.strip_prefix('.') {
        Some(column) => Some(Some(column)),
        None => rest.is_empty().then_some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_of_an_option_keeps_its_case() {
        let column = |key: &'static str| column_of("time_unit", key);
        assert_eq!(column("Time_Unit"), Some(None));
        assert_eq!(
            column("time_unit.User.createdAt"),
            Some(Some("User.createdAt"))
        );
        assert_eq!(column("time_units"), None);
        assert_eq!(column("ready"), None);
    }
}
