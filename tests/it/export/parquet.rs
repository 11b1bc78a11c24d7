//! The metadata of Parquet files.

use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::printer::print_schema;

use super::exported;
use crate::support::{Sandbox, TestDestination};

fn metadata(sandbox: &Sandbox, table: &str) -> ParquetMetaData {
    let keys = sandbox.destination.keys_below(&format!("data/{table}/"));
    let file =
        SerializedFileReader::new(sandbox.destination.read(&keys[0])).expect("a Parquet file");
    file.metadata().clone()
}

#[test]
fn pages_are_indexed_and_compressed_with_snappy() {
    let sandbox = exported(TestDestination::local(), "parquet");
    for table in ["aliases", "pageview_events", "segment_metadata"] {
        let metadata = metadata(&sandbox, table);
        assert_eq!(metadata.num_row_groups(), 1, "{table}");
        for column in metadata.row_group(0).columns() {
            let name = column.column_path().string();
            assert_eq!(column.compression(), Compression::SNAPPY, "{name}");
            assert!(column.statistics().is_some(), "no statistics of {name}");
            assert!(
                column.column_index_offset().is_some(),
                "no page statistics of {name}"
            );
            assert!(
                column.offset_index_offset().is_some(),
                "no page index of {name}"
            );
        }
    }
}

/// Checks that timestamps are microseconds in UTC, lists have three levels, and there is no partition
/// column.
#[test]
fn the_schema_is_one_that_every_reader_knows() {
    let sandbox = exported(TestDestination::local(), "parquet");
    let metadata = metadata(&sandbox, "pageview_events");
    let mut printed = Vec::new();
    print_schema(&mut printed, metadata.file_metadata().schema());
    insta::assert_snapshot!(String::from_utf8(printed).expect("UTF-8"));
    // An embedded arrow schema would make readers infer other types.
    assert_eq!(metadata.file_metadata().key_value_metadata(), None);
}
