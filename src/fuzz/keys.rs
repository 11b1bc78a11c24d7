//! Object keys: what is parsed is what is built.

use object_store::path::Path;

use super::input::Input;
use crate::layout::{
    CycleMarkerName, FileFormat, ManifestName, Partition, Shard, is_record, parse_log_entry,
    parse_recorded,
};

pub(super) fn keys(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = parse_recorded(text);
        if let Ok(path) = Path::parse(text) {
            if let Some(shard) = Shard::parse(&path) {
                // An old key has another form of the same partition.
                assert_eq!(Shard::parse(&shard.path()), Some(shard));
            }
            if let Some(name) = ManifestName::parse(&path) {
                assert_eq!(name.path(), path);
            }
            if let Some(name) = CycleMarkerName::parse(&path) {
                assert_eq!(name.path(), path);
            }
            let _ = (is_record(&path), parse_log_entry(&path));
        }
    }
    let mut input = Input::new(data);
    let values = (0..1 + input.below(3)).map(|_| (input.text(), input.text()));
    let values: Vec<(String, String)> = values.filter(|(column, _)| !column.is_empty()).collect();
    if let Ok(partition) = Partition::new(values) {
        let shard = Shard {
            table: "views".parse().unwrap(),
            partition,
            number: input.number().unsigned_abs() % 1_000_000_000_000,
            format: input.one_of(&FileFormat::ALL),
        };
        assert_eq!(Shard::parse(&shard.path()), Some(shard));
    }
}
