//! The files that describe each version of a table's schema.

use serde_json::{Value, json};

use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Sandbox, TestDestination, check_published, for_each_destination, rewrite};
use crate::world::{VIEWS, world};

for_each_destination!(
    each_version_has_one_file_and_manifests_name_it,
    tables_from_before_there_were_versions_get_the_first_one,
);

const V1: &str = "schema/views/v1.json";
const V2: &str = "schema/views/v2.json";

fn json_of(sandbox: &Sandbox, key: &str) -> Value {
    serde_json::from_slice(&sandbox.destination.read(key)).expect("JSON")
}

/// Returns the version that the manifest of a revision of a day names.
fn version_of(sandbox: &Sandbox, day: u64, revision: u64) -> Value {
    let key = format!("manifests/views/2026-01-{day}.r{revision}.json");
    json_of(sandbox, &key)["schema_version"].clone()
}

fn assert_valid(file: &Value) {
    let text = include_str!("../../../docs/schema.v1.schema.json");
    let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a JSON schema");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema can be used");
    let errors: Vec<String> = validator
        .iter_errors(file)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{file}");
}

fn grown() -> String {
    VIEWS.replace(
        "id, time, note",
        "id, time, note, named_struct('loud', upper(note)) AS more",
    )
}

fn each_version_has_one_file_and_manifests_name_it(destination: TestDestination) {
    let sandbox = world(destination);
    for day in ["2026-01-13", "2026-01-14"] {
        sandbox.run(&["--date", day, "views"]).succeeded();
    }
    assert_eq!(sandbox.destination.keys_below("schema/"), [V1]);
    let first = json_of(&sandbox, V1);
    assert_valid(&first);
    assert_eq!(first["manifest"], "manifests/views/2026-01-13.r0.json");
    assert_eq!(first["changes"], json!([]));
    let manifest = json_of(&sandbox, "manifests/views/2026-01-14.r0.json");
    for member in ["schema", "partition_by", "format", "sync_mode"] {
        assert_eq!(first[member], manifest[member], "{member}");
    }

    sandbox.write("sql/views.sql", grown());
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(0);
    let second = json_of(&sandbox, V2);
    assert_valid(&second);
    assert_eq!(second["against"], 1);
    assert_eq!(
        second["changes"],
        json!([{
            "kind": "column_added", "severity": "announced", "column": "more",
            "to": "struct<loud string>",
        }])
    );
    assert_eq!(json_of(&sandbox, V1), first);

    // Reruns of the first day: by the old definition, by the new one, and by another.
    let rerun = ["--date", "2026-01-13", "--rerun", "views"];
    sandbox.write("sql/views.sql", VIEWS);
    sandbox.run(&rerun).exited_with(0);
    sandbox.write("sql/views.sql", grown());
    sandbox.run(&rerun).exited_with(0);
    sandbox.write("sql/views.sql", grown().replace("'loud'", "'shrill'"));
    let accepted = [&rerun[..], &["--accept-schema"]].concat();
    sandbox.run(&accepted).exited_with(0);
    let versions = [(13, 0), (14, 0), (15, 0), (13, 1), (13, 2), (13, 3)]
        .map(|(day, revision)| version_of(&sandbox, day, revision));
    assert_eq!(versions, [1, 1, 2, 1, 2, 3].map(|version| json!(version)));
    let third = json_of(&sandbox, "schema/views/v3.json");
    assert_valid(&third);
    let changes = third["changes"].as_array().expect("a list");
    let columns: Vec<&Value> = changes.iter().map(|change| &change["column"]).collect();
    assert_eq!(columns, ["more.loud", "more.shrill"]);
    check_published(&sandbox.destination);
}

/// Takes the versions out of what a run has written, as if it was of an older program.
fn tables_from_before_there_were_versions_get_the_first_one(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14", "views"]).succeeded();
    let log = "_dayport/log/views/00000000000000000001.json";
    rewrite(&sandbox.destination, log, |entry| {
        let members = entry["memory"].as_object_mut().expect("an object");
        members.remove("schema").expect("the log counts versions");
    });
    let key = "manifests/views/2026-01-14.r0.json";
    rewrite(&sandbox.destination, key, |manifest| {
        let members = manifest.as_object_mut().expect("an object");
        members.remove("schema_version").expect("manifests name it");
    });
    sandbox.destination.delete(V1);

    sandbox.write("sql/views.sql", grown());
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(0);
    let first = json_of(&sandbox, V1);
    assert_valid(&first);
    assert_eq!(first["against"], Value::Null);
    assert_eq!(first["changes"][0]["column"], "more");
    assert_eq!(version_of(&sandbox, 15, 0), 1);
}

/// An attached policy from before there were schema files: they are due, and nothing else suffers.
#[test]
fn without_the_right_tables_are_published_and_one_warning_names_the_statement() {
    let sandbox = world(TestDestination::s3());
    let server = sandbox.destination.server();
    let denied = Fault::on(Operation::PutObject, Action::Before(Failure::AccessDenied));
    server.inject(denied.key("/schema/"));
    let output = sandbox
        .run(&["--date", "2026-01-15"])
        .exited_with(0)
        .stdout_has("2 published")
        .stderr_has("warning: 2 tables published without the description of the schema: ")
        .hint_has("add this statement to the policy: ")
        .hint_has("DayportSchema");
    assert_eq!(output.stderr.matches("warning: ").count(), 1, "{output}");
    assert_eq!(
        sandbox.destination.keys_below("schema/"),
        Vec::<String>::new()
    );
    check_published(&sandbox.destination);

    server.clear_faults();
    sandbox.run(&["--date", "2026-01-16"]).succeeded();
    let first = json_of(&sandbox, V1);
    assert_valid(&first);
    assert_eq!(first["manifest"], "manifests/views/2026-01-15.r0.json");
}

/// A file of an earlier life of the prefix.
#[test]
fn a_file_with_another_schema_is_told_and_kept() {
    let sandbox = world(TestDestination::local());
    sandbox.destination.put(V1, "{}");
    sandbox
        .run(&["--date", "2026-01-15", "views"])
        .exited_with(0)
        .stderr_has("`schema/views/v1.json` describes another schema than that of the manifest");
    assert_eq!(sandbox.destination.read(V1), "{}");
}
