//! The findings of a check as SARIF 2.1.0, which editors and code scanning read:
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use crate::check::{CheckItem, CheckList, Place, Verdict};

/// The characters that a path of a URI does not have as they are.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

pub(super) fn render(list: &CheckList) -> Value {
    let results: Vec<Value> = list.items.iter().filter_map(result).collect();
    let mut rules: Vec<Value> = list.items.iter().map(|item| json!(item.area)).collect();
    rules.dedup();
    let rules: Vec<Value> = rules.into_iter().map(|id| json!({ "id": id })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "dayport",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    })
}

fn result(item: &CheckItem) -> Option<Value> {
    let (level, detail, hint) = match &item.verdict {
        Verdict::Finding { detail, hint, .. } => ("error", detail, hint.as_ref()),
        Verdict::Note { detail, hint } => ("note", detail, Some(hint)),
        Verdict::Passed { .. } | Verdict::Unknown { .. } => return None,
    };
    let what = match &item.place {
        Some(place) => place.without_prefix(detail),
        None => detail,
    };
    let text = match hint {
        Some(hint) => format!("{what}\nhint: {hint}"),
        None => what.to_owned(),
    };
    let locations: Vec<Value> = item.place.iter().map(location).collect();
    Some(json!({
        "ruleId": item.area,
        "level": level,
        "message": { "text": text },
        "locations": locations,
    }))
}

fn location(place: &Place) -> Value {
    let path = place.file.replace('\\', "/");
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": utf8_percent_encode(&path, ESCAPED).to_string() },
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.end_column,
        },
    }})
}
