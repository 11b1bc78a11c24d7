use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::books::{Balance, Books};

const FILE: &str = "data/t/day=15/data-000000000000.parquet";

/// A manifest of the table `t`, partitioned by `day`, with one row and ten bytes a file.
pub(crate) fn manifest(cycle: &str, paths: &[&str]) -> Manifest {
    let files: Vec<_> = paths
        .iter()
        .map(|path| {
            let folder = folder(path).rsplit('=').next().unwrap();
            json!({"path": path, "partition": {"day": folder}, "rows": 1, "bytes": 10,
                   "etag": "e", "sha256": "s"})
        })
        .collect();
    let start = cycle.parse::<Cycle>().unwrap();
    serde_json::from_value(json!({
        "version": 1, "table": "t", "description": "", "sync_mode": "incremental",
        "cycle": {"id": cycle, "start": start.start(), "end": start.end()},
        "revision": 0, "run_id": "r", "started_at": "2026-01-17T00:00:00Z",
        "committed_at": "2026-01-17T00:00:00Z", "writer": "w", "format": "parquet",
        "compression": "snappy",
        "partition_by": [{"name": "day", "type": "int32", "nullable": false}],
        "window_column": "time",
        "schema": [{"name": "id", "type": "int64", "nullable": false}],
        "definition": {"file": "t.sql", "sha256": ""}, "sources": [],
        "rows": files.len(), "bytes": 10 * files.len(), "files": files, "replaced": []
    }))
    .unwrap()
}

fn published(manifests: Vec<Manifest>) -> PublishedTable {
    let records = manifests
        .into_iter()
        .map(Box::new)
        .map(RecordedManifest::Read);
    PublishedTable {
        table: "t".parse().unwrap(),
        current: records.collect(),
        unfinished: None,
        log_fault: None,
        names: Vec::new(),
    }
}

fn listing(keys: &[&str]) -> Listing {
    let present = ObjectState::Present {
        bytes: 10,
        etag: Some("e".to_owned()),
    };
    let keys = keys.iter().map(|key| ((*key).to_owned(), present.clone()));
    keys.collect()
}

fn found(
    published: &PublishedTable,
    cycles: &VerifyCycles,
    keys: &[&str],
) -> Vec<(FindingKind, String)> {
    let plan = plan(published, cycles, &listing(keys));
    let findings = plan.findings.into_iter();
    findings
        .map(|finding| (finding.kind, finding.key))
        .collect()
}

fn only(cycle: &str) -> VerifyCycles {
    let cycle = cycle.parse().unwrap();
    VerifyCycles::Range {
        first: cycle,
        last: cycle,
    }
}

#[test]
fn files_as_published_remain_to_be_read() {
    let published = published(vec![manifest("2026-01-15", &[FILE])]);
    let plan = plan(&published, &VerifyCycles::All, &listing(&[FILE]));
    assert_eq!(plan.findings, []);
    assert_eq!((plan.cycles, plan.files.len()), (1, 1));
}

#[test]
fn missing_and_extra_objects_are_named() {
    let published = published(vec![manifest("2026-01-15", &[FILE])]);
    let other = "data/t/day=15/readme.txt";
    assert_eq!(
        found(&published, &VerifyCycles::All, &[other]),
        [
            (FindingKind::Missing, FILE.to_owned()),
            (FindingKind::Extra, other.to_owned())
        ]
    );
}

#[test]
fn with_a_range_only_the_folders_of_its_files_are_searched() {
    let late = "data/t/day=15/data-000000000001.parquet";
    let second = "data/t/day=16/data-000000000000.parquet";
    let published = published(vec![
        manifest("2026-01-15", &[FILE]),
        manifest("2026-01-16", &[late, second]),
    ]);
    // The late file belongs to another cycle; what is missing there is not searched.
    let (inside, outside) = ("data/t/day=15/x", "data/t/day=16/x");
    let keys = [FILE, late, inside, outside];
    assert_eq!(
        found(&published, &only("2026-01-15"), &keys),
        [(FindingKind::Extra, inside.to_owned())]
    );
    assert_eq!(found(&published, &only("2026-01-14"), &keys), []);
}

#[test]
fn two_manifests_must_not_name_one_path() {
    let published = published(vec![
        manifest("2026-01-15", &[FILE]),
        manifest("2026-01-16", &[FILE]),
    ]);
    for cycles in [VerifyCycles::All, only("2026-01-15")] {
        assert_eq!(
            found(&published, &cycles, &[FILE]),
            [(FindingKind::Duplicate, FILE.to_owned())]
        );
    }
    assert_eq!(found(&published, &only("2026-01-14"), &[FILE]), []);
}

#[test]
fn a_manifest_must_agree_with_itself() {
    let damaged = |damage: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest("2026-01-15", &[FILE]);
        damage(&mut manifest);
        let published = published(vec![manifest]);
        let found = found(&published, &VerifyCycles::All, &[FILE]);
        found.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(damaged(&|m| m.rows = u64::MAX), [FindingKind::Sum]);
    assert_eq!(damaged(&|m| m.bytes = 0), [FindingKind::Sum]);
    let books = |manifest: &Manifest, lost: u64| {
        Balance::Counted(Books {
            read: manifest.rows + 5,
            filtered: 5 - lost,
            exported: manifest.rows,
            ..Books::default()
        })
    };
    assert_eq!(damaged(&|m| m.balance = Some(books(m, 0))), []);
    assert_eq!(
        damaged(&|m| m.balance = Some(books(m, 1))),
        [FindingKind::Sum]
    );
    let other = Balance::Withheld {
        rejected: 0,
        exported: u64::MAX,
    };
    assert_eq!(
        damaged(&|m| m.balance = Some(other.clone())),
        [FindingKind::Sum]
    );
    let seconds = |seconds| DateTime::from_timestamp(seconds, 0);
    assert_eq!(
        damaged(&|m| m.files[0].window_min = seconds(0)),
        [FindingKind::Window]
    );
    assert_eq!(
        damaged(&|m| m.files[0].window_max = Some(m.cycle.end)),
        [FindingKind::Window]
    );
    assert_eq!(
        damaged(&|m| m.files[0].window_min = Some(m.cycle.start)),
        []
    );
    assert_eq!(
        damaged(&|m| m.sync_mode = SyncMode::Snapshot),
        Vec::<FindingKind>::new()
    );
    let other_folder = manifest("2026-01-15", &["data/t/day=16/data-000000000000.parquet"]);
    assert_eq!(
        damaged(&|m| m.files[0].partition = other_folder.files[0].partition.clone()),
        [FindingKind::Partition]
    );
    assert_eq!(
        damaged(&|m| m.partition_by = m.schema.clone()),
        [FindingKind::Partition]
    );
    assert_eq!(
        damaged(&|m| m.format = FileFormat::Json),
        [FindingKind::Partition]
    );
    assert_eq!(
        damaged(&|m| m.table = "u".parse().unwrap()),
        [FindingKind::Partition]
    );
}

#[test]
fn files_of_a_broken_manifest_or_an_open_commit_are_not_extra() {
    let name = manifest("2026-01-15", &[]).name();
    let mut broken = published(Vec::new());
    broken.current.push(RecordedManifest::Broken {
        name: name.clone(),
        reason: "torn".to_owned(),
    });
    assert_eq!(
        found(&broken, &VerifyCycles::All, &[FILE]),
        [(FindingKind::Manifest, name.path().to_string())]
    );

    let mut open = published(vec![manifest("2026-01-15", &[FILE])]);
    open.unfinished = Some(crate::verify::published::UnfinishedCommit {
        cycle: name.cycle,
        key: "log".to_owned(),
        detail: String::new(),
        files: BTreeSet::from([FILE.to_owned()]),
    });
    // The commit replaces a file that the older manifest names: it may have changed, or be gone.
    for listed in [&[FILE] as &[&str], &[]] {
        assert_eq!(
            found(&open, &VerifyCycles::All, listed),
            [(FindingKind::Unfinished, "log".to_owned())]
        );
    }
}

#[test]
fn cycles_of_a_range_without_a_manifest_are_named() {
    let mut published = published(vec![manifest("2026-01-15", &[FILE])]);
    published.names = vec![manifest("2026-01-15", &[]).name()];
    let found = |published: &PublishedTable, first: &str, last: &str, is_named: bool| {
        let cycles = VerifyCycles::Range {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
        };
        let findings = unpublished(published, &cycles, is_named);
        let days = findings.iter().filter_map(|finding| finding.cycle);
        days.map(|cycle| cycle.to_string()).collect::<Vec<_>>()
    };
    let range = ("2026-01-14", "2026-01-17");
    assert_eq!(
        found(&published, range.0, range.1, false),
        ["2026-01-16", "2026-01-17"]
    );
    assert_eq!(
        found(&published, range.0, range.1, true),
        ["2026-01-14", "2026-01-16", "2026-01-17"]
    );
    assert_eq!(unpublished(&published, &VerifyCycles::All, true), []);

    // The files of an earlier snapshot are those of the newest.
    let RecordedManifest::Read(newest) = &mut published.current[0] else {
        panic!("a manifest that was read");
    };
    newest.sync_mode = SyncMode::Snapshot;
    assert_eq!(found(&published, "2026-01-13", "2026-01-15", true), [""; 0]);
    assert_eq!(
        found(&published, "2026-01-15", "2026-01-16", true),
        ["2026-01-16"]
    );
}
