//! The findings of a check as annotations of GitHub Actions.

use std::fmt::Write;

use crate::check::{CheckItem, CheckList, Verdict};
use crate::cli::annotation::Annotation;
use crate::cli::check::text;
use crate::visible::visible;

pub(super) fn render(list: &CheckList) -> String {
    let mut annotations = String::new();
    for annotation in list.items.iter().filter_map(annotation) {
        // Writing to a string does not fail.
        let _ = writeln!(annotations, "{annotation}");
    }
    annotations + &visible(&text::render(list))
}

fn annotation(item: &CheckItem) -> Option<Annotation> {
    let (level, detail, hint) = match &item.verdict {
        Verdict::Finding { detail, hint, .. } => ("error", detail, hint.as_ref()),
        Verdict::Note { detail, hint } => ("notice", detail, Some(hint)),
        Verdict::Passed { .. } | Verdict::Unknown { .. } => return None,
    };
    let place = item.place.as_ref();
    let what = place.map_or(detail.as_str(), |place| place.without_prefix(detail));
    Some(Annotation {
        level,
        file: place.map(|place| place.file.clone()),
        line: place.map_or(1, |place| place.line),
        columns: place.map(|place| (place.column, place.end_column)),
        title: item.name.clone(),
        message: match hint {
            Some(hint) => format!("{what}\nhint: {hint}"),
            None => what.to_owned(),
        },
    })
}
