//! Declared columns for which no line of a scan has a value, and what a source's declaration says of
//! them.

use serde::Serialize;

/// The rule for a column for which no line has a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AbsentRule {
    /// The table fails.
    Error,
    /// A warning, unless an earlier cycle of the table had a value.
    #[default]
    Warn,
    /// The column is NULL, without a word.
    Null,
}

impl AbsentRule {
    /// Returns the rule by its name in options, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "error" => Some(AbsentRule::Error),
            "warn" => Some(AbsentRule::Warn),
            "null" => Some(AbsentRule::Null),
            _ => None,
        }
    }
}

/// The rules of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AbsentRules {
    /// The rule for all columns without one of their own.
    pub source: AbsentRule,
    /// The paths of columns, such as `user.id`, and their rules. A rule of a struct holds for its
    /// members, too.
    pub columns: Vec<(String, AbsentRule)>,
}

impl AbsentRules {
    /// Returns the rule for the column at `path`: that of the longest path which contains it. Where a
    /// column inside of it is an error, so is the column, since both are absent.
    pub(crate) fn rule(&self, path: &str) -> AbsentRule {
        let contains = |outer: &str, inner: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut columns = self.columns.iter();
        if columns.any(|(inner, rule)| *rule == AbsentRule::Error && contains(path, inner)) {
            return AbsentRule::Error;
        }
        let own = self
            .columns
            .iter()
            .filter(|(outer, _)| contains(outer, path));
        own.max_by_key(|(outer, _)| outer.len())
            .map_or(self.source, |(_, rule)| *rule)
    }
}

/// A column for which no line had a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AbsentColumn {
    /// The name of the source.
    pub source: String,
    /// The path of the column, such as `user.id`.
    pub column: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_innermost_column_holds() {
        let rules = AbsentRules {
            source: AbsentRule::Error,
            columns: vec![
                ("user.id".to_owned(), AbsentRule::Warn),
                ("user".to_owned(), AbsentRule::Null),
            ],
        };
        let of = |path| rules.rule(path);
        assert_eq!(of("user"), AbsentRule::Null);
        assert_eq!(of("user.name.first"), AbsentRule::Null);
        assert_eq!(of("user.id"), AbsentRule::Warn);
        assert_eq!(of("user_id"), AbsentRule::Error);
    }

    #[test]
    fn an_error_inside_of_a_column_is_one_of_the_column() {
        let rules = AbsentRules {
            source: AbsentRule::Warn,
            columns: vec![
                ("user".to_owned(), AbsentRule::Null),
                ("user.name.first".to_owned(), AbsentRule::Error),
            ],
        };
        assert_eq!(rules.rule("user"), AbsentRule::Error);
        assert_eq!(rules.rule("user.name"), AbsentRule::Error);
        assert_eq!(rules.rule("user.id"), AbsentRule::Null);
    }
}
