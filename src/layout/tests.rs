//! Tests that every key is built and parsed back.

use super::*;

fn partition(values: &[(&str, &str)]) -> Partition {
    let owned = values
        .iter()
        .map(|(column, value)| ((*column).to_owned(), (*value).to_owned()))
        .collect();
    Partition::new(owned).unwrap()
}

fn shard(partition: Partition) -> Shard {
    Shard {
        table: "pageview_events".parse().unwrap(),
        partition,
        number: 7,
        format: FileFormat::Json,
    }
}

#[test]
fn keys_are_the_published_layout() {
    let day = shard(partition(&[
        ("year", "2026"),
        ("month", "1"),
        ("day", "15"),
    ]));
    assert_eq!(
        day.path().as_ref(),
        "data/pageview_events/year=2026/month=1/day=15/data-000000000007.json.gz"
    );
    assert_eq!(
        shard(Partition::default()).path().as_ref(),
        "data/pageview_events/data-000000000007.json.gz"
    );
    let manifest = ManifestName {
        table: "domains".parse().unwrap(),
        cycle: "2026-01-15".parse().unwrap(),
        revision: 2,
    };
    assert_eq!(
        manifest.path().as_ref(),
        "manifests/domains/2026-01-15.r2.json"
    );
    assert_eq!(
        log_entry(&manifest.table, 12).as_ref(),
        "_dayport/log/domains/00000000000000000012.json"
    );
}

/// Checks that every key parses back, for partition values of any characters.
#[test]
fn every_key_parses_back() {
    let alphabet = [
        "a", "Z", "/", "=", "%", "%2F", "😀", "é", " ", "+", "&", "?", "#", "\\", "\"", "\n", ".",
        "..", "~", "*", ":", "{", "0",
    ];
    for first in alphabet {
        for second in alphabet {
            let value = format!("{first}{second}");
            let shard = shard(partition(&[("k", &value), ("l", second)]));
            assert_eq!(Shard::parse(&shard.path()), Some(shard), "{value:?}");
        }
    }
    let manifest = ManifestName {
        table: "domains".parse().unwrap(),
        cycle: "2026-01-15".parse().unwrap(),
        revision: 10,
    };
    assert_eq!(
        ManifestName::parse(&manifest.path()),
        Some(manifest.clone())
    );
    let marker = CycleMarkerName {
        cycle: manifest.cycle,
        revision: 10,
    };
    assert_eq!(marker.path().as_ref(), "cycles/2026-01-15.r10.json");
    assert_eq!(CycleMarkerName::parse(&marker.path()), Some(marker));
    let entry = log_entry(&manifest.table, MAX_SEQUENCE);
    assert_eq!(
        parse_log_entry(&entry),
        Some((manifest.table, MAX_SEQUENCE))
    );
}

#[test]
fn a_recorded_key_is_the_key_it_was() {
    let shard = shard(partition(&[("k", "a/b %é")]));
    let recorded = parse_recorded(shard.path().as_ref()).unwrap();
    assert_eq!(recorded, shard.path());
    assert_eq!(Shard::parse(&recorded), Some(shard));
}

#[test]
fn an_equals_sign_in_a_value_is_escaped_and_its_old_form_is_still_known() {
    let shard = shard(partition(&[("k", "a=b"), ("l", "..")]));
    let folder = "data/pageview_events";
    let key = format!("{folder}/k=a%3Db/l=../data-000000000007.json.gz");
    assert_eq!(shard.path().as_ref(), key);
    assert_eq!(shard.partition.to_string(), "k=a%3Db/l=..");
    let old = format!("{folder}/k=a=b/l=../data-000000000007.json.gz");
    for key in [key, old] {
        let recorded = parse_recorded(&key).unwrap();
        assert_eq!(Shard::parse(&recorded), Some(shard.clone()), "{key}");
    }
    let mixed = parse_recorded("data/t/k=a%3Db=c/data-000000000007.json.gz").unwrap();
    assert_eq!(Shard::parse(&mixed), None);
}

#[test]
fn foreign_keys_do_not_parse() {
    for key in [
        "data/domains/readme.txt",
        "data/domains/data-1.parquet",
        "data/domains/data-000000000001.csv",
        "data/domains/x/data-000000000001.parquet",
        "data/Domains/data-000000000001.parquet",
        "manifests/domains/data-000000000001.parquet",
    ] {
        assert_eq!(Shard::parse(&Path::from(key)), None, "{key}");
    }
    for key in [
        "manifests/domains/2026-1-15.r0.json",
        "manifests/domains/2026-01-15.r00.json",
        "manifests/domains/2026-01-15.json",
    ] {
        assert_eq!(ManifestName::parse(&Path::from(key)), None, "{key}");
    }
    for key in [
        "cycles/2026-1-15.r0.json",
        "cycles/2026-01-15.r00.json",
        "cycles/2026-01-15.r1000000000.json",
        "cycles/t/2026-01-15.r0.json",
        "manifests/2026-01-15.r0.json",
    ] {
        assert_eq!(CycleMarkerName::parse(&Path::from(key)), None, "{key}");
    }
}

#[test]
fn values_that_read_as_null_are_refused() {
    for value in ["", HIVE_NULL] {
        assert!(Partition::new(vec![("k".into(), value.into())]).is_err());
    }
}

#[test]
fn the_prefix_is_joined_and_taken_off() {
    for prefix in ["", "permutive", "a/b"] {
        let layout = Layout::new(Path::from(prefix));
        let relative = Path::from("data/domains/data-000000000000.parquet");
        let absolute = layout.absolute(&relative);
        assert_eq!(layout.relative(&absolute), Some(relative));
    }
    let layout = Layout::new(Path::from("a"));
    assert_eq!(layout.relative(&Path::from("ab/data")), None);
}
