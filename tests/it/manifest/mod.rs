//! The manifest as a stored format: its JSON schema, and a fixture of every version ever written.

use dayport::cycle::SyncMode;
use dayport::manifest::Manifest;
use object_store::path::Path;
use serde_json::{Value, json};

use crate::support::{SECOND_DAY, Sandbox, TestDestination};

/// A manifest of version 1 with all of its members. It must stay readable forever: never change it,
/// add another file.
const VERSION_1: &str = include_str!("v1.json");

fn complaints(manifest: &Value) -> Vec<String> {
    let text = include_str!("../../../docs/manifest.v1.schema.json");
    let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a JSON schema");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema can be used");
    validator
        .iter_errors(manifest)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_manifest_written_fits_the_published_schema() {
    for format in ["parquet", "json"] {
        let sandbox = Sandbox::fixtures(TestDestination::local());
        // One malformed line, so that there are rejects.
        sandbox.write("raw/events/date=2026-01-15/hour=03/broken.json", "{\n");
        sandbox
            .run(&["--date", SECOND_DAY, "--format", format])
            .exited_with(0)
            .stderr_has("warning: pageview_events: 1 malformed line ");
        let keys = sandbox.destination.keys_below("manifests");
        assert_eq!(keys.len(), 10, "{keys:?}");
        for key in keys {
            let bytes = sandbox.destination.read(&key);
            let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(complaints(&manifest), Vec::<String>::new(), "{key}");
            let rejects = manifest["rejects"].as_array().map_or(0, Vec::len);
            let reads_events = manifest["sources"][0]["name"] == "events";
            assert_eq!(rejects, usize::from(reads_events), "{key}");
        }
    }
}

#[test]
fn the_schema_rejects_invalid_manifests() {
    let whole: Value = serde_json::from_str(VERSION_1).expect("JSON");
    assert_eq!(complaints(&whole), Vec::<String>::new());
    let spoil: [fn(&mut Value); 7] = [
        |manifest| manifest["version"] = json!(2),
        |manifest| manifest["rows"] = json!(-1),
        |manifest| manifest["checksum"] = json!("md5:0"),
        |manifest| manifest["files"][0]["sha256"] = json!("?"),
        |manifest| manifest["files"][0]["path"] = json!("elsewhere"),
        |manifest| manifest["schema"][0]["type"] = json!("timestamp_ns"),
        |manifest| {
            manifest.as_object_mut().expect("an object").remove("cycle");
        },
    ];
    for spoil in spoil {
        let mut spoilt = whole.clone();
        spoil(&mut spoilt);
        assert_ne!(complaints(&spoilt), Vec::<String>::new(), "{spoilt:#}");
    }
}

#[test]
fn version_1_is_readable_for_ever() {
    let key = Path::from("manifests/slotviewable_events/2026-01-15.r1.json");
    let manifest = Manifest::parse(&key, VERSION_1.as_bytes()).expect("readable");
    assert_eq!(manifest.name().path(), key);
    assert_eq!(manifest.sync_mode, SyncMode::Incremental);
    assert_eq!(manifest.rows, 1604);
    assert_eq!(manifest.files[0].rows, 1604);
    assert_eq!(manifest.rejects[0].rows, 2);
    assert_eq!(manifest.replaced.len(), 1);
    let arrow = manifest.schema.arrow();
    assert_eq!(arrow.field(0).name(), "time");

    // The current version reads back what it writes, and ignores unknown members.
    let written = manifest.to_json().expect("JSON");
    assert_eq!(Manifest::parse(&key, &written).expect("readable"), manifest);
    let with_unknown = VERSION_1.replacen('{', r#"{"mood": ["unknown to this version"],"#, 1);
    let parsed = Manifest::parse(&key, with_unknown.as_bytes()).expect("readable");
    assert_eq!(parsed, manifest);
}

#[test]
fn another_version_is_refused_with_a_remedy() {
    let key = Path::from("manifests/t/2026-01-15.r0.json");
    let error = Manifest::parse(&key, br#"{"version":2}"#).expect_err("unknown");
    assert!(error.render().contains("version 2"), "{}", error.render());
    assert!(error.render().contains("hint: use a newer dayport"));
    assert!(Manifest::parse(&key, b"{}").is_err());
}
