//! The list of a check for people.

use std::fmt::Write;

use crate::check::{CheckArea, CheckItem, CheckList, Verdict};
use crate::human;
use crate::visible::visible_line;

/// Renders the list for people: a line for each item, with advice below each finding.
pub(super) fn render(list: &CheckList) -> String {
    let width_of = |item: &CheckItem| item.name.chars().count();
    let width = list.items.iter().map(width_of).max().unwrap_or(0);
    let mut text = String::new();
    let mut area = None;
    for item in &list.items {
        if area != Some(item.area) {
            area = Some(item.area);
            let heading = match item.area {
                CheckArea::Definitions => "definitions",
                CheckArea::Sources => "sources",
                CheckArea::Audits => "audits",
                CheckArea::Tests => "tests",
                CheckArea::Destination => "destination",
                CheckArea::Settings => "settings of the bucket",
                CheckArea::RejectedLines => "malformed lines",
            };
            let _ = writeln!(text, "{heading}");
        }
        let (mark, detail) = match &item.verdict {
            Verdict::Passed { detail } => ("ok     ", detail),
            Verdict::Finding { detail, .. } => ("FINDING", detail),
            Verdict::Note { detail, .. } => ("note   ", detail),
            Verdict::Unknown { detail } => ("unknown", detail),
        };
        let _ = writeln!(
            text,
            "  {mark}  {:<width$}  {}",
            visible_line(&item.name),
            visible_line(detail)
        );
        if let Verdict::Note { hint, .. } = &item.verdict {
            let _ = writeln!(text, "           hint: {}", visible_line(hint));
        }
        if let Verdict::Finding { hint, policy, .. } = &item.verdict {
            if let Some(policy) = policy {
                let _ = writeln!(text, "           grant: {policy}");
            }
            if let Some(hint) = hint {
                let _ = writeln!(text, "           hint: {}", visible_line(hint));
            }
        }
    }
    let unknown = list
        .items
        .iter()
        .filter(|item| matches!(item.verdict, Verdict::Unknown { .. }));
    let _ = writeln!(
        text,
        "\n{} checked, {}, {} unknown",
        list.items.len(),
        human::counted(list.findings() as u64, "finding"),
        unknown.count()
    );
    text
}
