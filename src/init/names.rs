//! Names of files, tables and columns, made of names of the data.

use std::collections::BTreeSet;

use crate::layout::is_table_name;

/// The maximum length of a name of a table, which names folders and files.
const MAX_TABLE_NAME: usize = 100;

/// Words that SQL reads as something else where a column may stand. Other keywords are read as names.
const RESERVED: &[&str] = &[
    "all",
    "analyze",
    "and",
    "any",
    "anti",
    "array",
    "as",
    "asc",
    "asof",
    "authorization",
    "between",
    "both",
    "by",
    "case",
    "cast",
    "check",
    "cluster",
    "collate",
    "column",
    "connect",
    "constraint",
    "create",
    "cross",
    "cube",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "delete",
    "desc",
    "describe",
    "distinct",
    "distribute",
    "drop",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "extract",
    "false",
    "fetch",
    "filter",
    "for",
    "foreign",
    "from",
    "full",
    "global",
    "grant",
    "group",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "lateral",
    "left",
    "like",
    "limit",
    "map",
    "match",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "primary",
    "qualify",
    "right",
    "row",
    "rows",
    "sample",
    "select",
    "semi",
    "session_user",
    "set",
    "sort",
    "struct",
    "table",
    "tablesample",
    "then",
    "timestamp",
    "to",
    "top",
    "true",
    "union",
    "unique",
    "unnest",
    "update",
    "user",
    "using",
    "values",
    "view",
    "when",
    "window",
    "with",
];

/// Returns true if a name stands for itself in SQL, without quotes.
fn is_plain(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(is_allowed)
        && !RESERVED.contains(&name)
}

/// Writes a name as SQL: in quotes unless it needs none.
pub(super) fn identifier(name: &str) -> String {
    match is_plain(name) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Writes a text as SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the words of a name in lower case, with `_` between them: `PushEvent` and `push-event` are
/// `push_event`. Characters that are no ASCII letters or digits separate words.
pub(super) fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, c) in characters.iter().enumerate() {
        let at = |index: Option<usize>| index.and_then(|index| characters.get(index));
        let (before, after) = (at(index.checked_sub(1)), at(index.checked_add(1)));
        if !c.is_ascii_alphanumeric() {
            if !snake.is_empty() && !snake.ends_with('_') {
                snake.push('_');
            }
            continue;
        }
        let begins_word = c.is_ascii_uppercase()
            && (before
                .is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit())
                || before.is_some_and(char::is_ascii_uppercase)
                    && after.is_some_and(char::is_ascii_lowercase));
        if begins_word && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake.trim_end_matches('_').to_owned()
}

/// Returns a name that tables and sources may have, made of any text.
pub(super) fn table_name(text: &str, fallback: &str) -> String {
    let mut snake = snake_case(text);
    snake.truncate(MAX_TABLE_NAME);
    if snake.is_empty() {
        return fallback.to_owned();
    }
    match is_table_name(&snake) {
        true => snake,
        false => format!("{fallback}_{snake}"),
    }
}

/// Returns the table of an event: `PushEvent` is `push_events`, `page_view` is `page_view_events`.
pub(super) fn event_table(event: &str) -> String {
    // The vendor and the version of Snowplow's schemas are not the name.
    let iglu = event.strip_prefix("iglu:");
    let name = iglu
        .and_then(|path| path.split('/').nth(1))
        .unwrap_or(event);
    let name = table_name(name, "event");
    match name.strip_suffix("_event") {
        Some(stem) => format!("{stem}_events"),
        None if name == "event" || name == "events" => "events".to_owned(),
        None => format!("{name}_events"),
    }
}

/// Names that were given, each of which is given once. Case does not distinguish them.
#[derive(Debug, Default, Clone)]
pub(super) struct UniqueNames(BTreeSet<String>);

impl UniqueNames {
    /// Returns names of which these are taken.
    pub(super) fn without(taken: &[&str]) -> Self {
        Self(taken.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Returns the name, with a number behind it if it was given before.
    pub(super) fn give(&mut self, name: &str) -> String {
        let numbered = (2_u64..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let is_new = |name: &String| self.0.insert(name.to_lowercase());
        candidates.find(is_new).unwrap_or_else(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        for (name, snake) in [
            ("PushEvent", "push_event"),
            ("eventID", "event_id"),
            ("userIPAddress", "user_ip_address"),
            ("x-amz.id 2", "x_amz_id_2"),
            ("$schema", "schema"),
            ("__a__b__", "a_b"),
            ("été", "t"),
            ("сайт", ""),
            ("S3Object", "s3_object"),
        ] {
            assert_eq!(snake_case(name), snake, "{name}");
        }
    }

    #[test]
    fn tables_have_safe_names() {
        for (event, table) in [
            ("PushEvent", "push_events"),
            ("page_view", "page_view_events"),
            ("2fa", "event_2fa_events"),
            ("../../etc/passwd", "etc_passwd_events"),
            ("сайт", "events"),
            ("", "events"),
            (
                "iglu:com.acme/add_to_cart/jsonschema/1-0-0",
                "add_to_cart_events",
            ),
        ] {
            assert_eq!(event_table(event), table, "{event}");
            assert!(is_table_name(&event_table(event)));
        }
        assert!(is_table_name(&event_table(&"x".repeat(500))));
        let mut names = UniqueNames::without(&["year"]);
        let given = ["a", "A", "a", "year"].map(|name| names.give(name));
        assert_eq!(given, ["a", "A_2", "a_3", "year_2"]);
    }

    #[test]
    fn identifiers_have_quotes_where_they_need_them() {
        for (name, sql) in [
            ("user_id", "user_id"),
            ("eventId", "\"eventId\""),
            ("order", "\"order\""),
            ("a\"b", "\"a\"\"b\""),
            ("2nd", "\"2nd\""),
            ("_id", "_id"),
        ] {
            assert_eq!(identifier(name), sql);
        }
        assert_eq!(literal("it's"), "'it''s'");
        let mut sorted = RESERVED.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), RESERVED.len());
    }
}
