//! DataFusion's messages without what is of use to its developers only.

/// Returns a message with `…` in place of each syntax tree, type or expression that is printed as Rust
/// writes it down, and without the plan that follows it.
pub(crate) fn without_dumps(message: &str) -> String {
    let mut shown = String::with_capacity(message.len().min(400));
    let mut rest = without_plan(message);
    while let Some(start) = dump_start(rest) {
        let (before, dump) = rest.split_at(start);
        shown.push_str(before);
        shown.push('…');
        rest = after_dump(dump);
    }
    shown.push_str(rest);
    shown.trim_end().to_owned()
}

/// Cuts a message before the first line of a plan.
fn without_plan(message: &str) -> &str {
    const NODES: [&str; 9] = [
        "Projection:",
        "Filter:",
        "TableScan:",
        "SubqueryAlias:",
        "Aggregate:",
        "Sort:",
        "Limit:",
        "Join:",
        "Subquery:",
    ];
    let mut end = 0;
    for line in message.split_inclusive('\n') {
        if end > 0 && NODES.iter().any(|node| line.trim_start().contains(node)) {
            break;
        }
        end += line.len();
    }
    message.get(..end).unwrap_or(message)
}

/// Returns the position of the first `Name { field: …` together with the names and brackets around it.
fn dump_start(text: &str) -> Option<usize> {
    let brace = text.match_indices(" { ").map(|(at, _)| at).find(|at| {
        let name = text.get(..*at).unwrap_or_default();
        let name = name
            .rsplit(|c: char| !is_name(c))
            .next()
            .unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_uppercase())
    })?;
    let before = text.get(..brace)?;
    Some(
        before
            .trim_end_matches(|c: char| is_name(c) || "([&".contains(c))
            .len(),
    )
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Returns what follows a dump, whose brackets are closed one by one.
fn after_dump(dump: &str) -> &str {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for (at, c) in dump.char_indices() {
        if is_quoted {
            is_quoted = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '"' => is_quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return dump.get(at + c.len_utf8()..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    ""
}

/// Returns the line of the first position in a syntax tree: `Location(2,17)`.
pub(crate) fn line_in_dump(message: &str) -> Option<u64> {
    let (_, after) = message.split_once("Location(")?;
    let line = after.split(',').next()?.parse().ok()?;
    (line > 0).then_some(line)
}

/// The constructs that DataFusion has no plan for, with what to write instead.
const UNPLANNED: [(&str, &str, &str); 3] = [
    (
        "OuterReferenceColumn",
        "a subquery or LATERAL that refers to a column of the query around it has no plan",
        "write it as a join; for the items of a list write `unnest(list) AS item` in the SELECT",
    ),
    (
        "table function 'unnest' not found",
        "UNNEST of a column in FROM has no plan",
        "write `unnest(list) AS item` in the SELECT instead, and what filters its items around it",
    ),
    (
        "Dot access not supported",
        "this field of an expression is not found by its dot",
        "write the field in brackets: `(…)['field']`",
    ),
];

/// Returns the short message and the hint for what DataFusion has no plan for.
pub(crate) fn unplanned(message: &str) -> Option<(&'static str, &'static str)> {
    let known = UNPLANNED.iter().find(|(found, ..)| message.contains(found));
    known.map(|(_, what, hint)| (*what, *hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_left_out() {
        let dot = "not supported: Identifier(Ident { value: \"u)\\\"\", span: Span(Location(2,17)..Location(2,18)) })";
        assert_eq!(without_dumps(dot), "not supported: …");
        assert_eq!(line_in_dump(dot), Some(2));
        assert_eq!(
            without_dumps(
                "cannot cast List(Field { data_type: Int64, nullable: true }) to Utf8 here"
            ),
            "cannot cast … to Utf8 here"
        );
        assert_eq!(
            without_dumps(
                "a [Ident { value: \"a\" }, Ident { value: \"b\" }] is not b Some(Open { x"
            ),
            "a … is not b …"
        );
        assert_eq!(
            without_dumps("failed to plan:\nProjection: a\n  TableScan: b"),
            "failed to plan:"
        );
    }

    #[test]
    fn other_messages_stay() {
        for message in [
            "",
            "Schema error: No field named nme. Valid fields are s.id, s.name.",
            "no function { x }:\n\tCandidate functions:\n\tabs(Int64)",
            "expected Struct(\"a\": Int64), found { in äö",
        ] {
            assert_eq!(without_dumps(message), message);
        }
    }
}
