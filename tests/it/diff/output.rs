//! The forms of the report.

use serde_json::json;

use crate::diff::{diff, publish, set_things, thing, things};
use crate::support::{CommandOutput, Sandbox, TestDestination};

fn different() -> Sandbox {
    let sandbox = things(
        TestDestination::local(),
        &[thing(1), thing(2), thing(3), thing(3)],
    );
    publish(&sandbox, &[]);
    let mut changed = thing(1);
    changed["text"] = json!("a\u{1b}[31m|`\n<b>");
    changed["price"] = json!("7.5");
    changed["info"]["deep"]["x"] = json!(null);
    set_things(&sandbox, &[changed, thing(3), thing(3), thing(4)]);
    sandbox
}

fn assert_snapshot(name: &str, sandbox: &Sandbox, output: &CommandOutput) {
    let text = sandbox.redacted(&output.to_string());
    insta::with_settings!({
        prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots"
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_report_for_people() {
    let sandbox = different();
    let output = diff(&sandbox, &["--key", "id"]).exited_with(1);
    assert_snapshot("table", &sandbox, &output);
    let output = diff(&sandbox, &["--samples", "1"]).exited_with(1);
    assert_snapshot("table_without_key", &sandbox, &output);
}

#[test]
fn a_report_for_a_pull_request() {
    let sandbox = different();
    let output = diff(&sandbox, &["--key", "id", "--output", "markdown"]).exited_with(1);
    assert_snapshot("markdown", &sandbox, &output);
}

#[test]
fn a_report_for_programs() {
    let sandbox = different();
    let output = diff(&sandbox, &["--key", "id", "--output", "json"]).exited_with(1);
    assert_snapshot("json", &sandbox, &output);
}
