//! The format options of a definition take precedence over `--format`.

use parquet::basic::Compression;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;

use crate::support::{Sandbox, TestDestination, check_published, for_each_destination, rows};
use crate::world::world;

for_each_destination!(a_definition_can_pin_its_format_and_its_options);

fn a_definition_can_pin_its_format_and_its_options(destination: TestDestination) {
    let sandbox = world(destination);
    let define = |table: &str, rest: &str| {
        let text = format!("COPY (SELECT id, name FROM sites) TO '{table}' {rest}");
        sandbox.write(&format!("sql/{table}.sql"), text);
    };
    define("as_json", "STORED AS JSON OPTIONS (compression_level '9')");
    define(
        "as_parquet",
        "STORED AS PARQUET OPTIONS (compression 'zstd(3)')",
    );
    define("as_asked", "");
    let day = "2026-01-15";
    let asked = |format| {
        let tables = ["as_asked", "as_json", "as_parquet"];
        let args = [
            "--date",
            day,
            "--rerun",
            "--format",
            format,
            "--accept-change",
        ];
        sandbox.run(&[&args[..], &tables].concat()).exited_with(0);
        let published = check_published(&sandbox.destination);
        tables.map(|table| published[table][0]["format"].clone())
    };
    assert_eq!(asked("json"), ["json", "json", "parquet"]);
    assert_eq!(asked("parquet"), ["parquet", "json", "parquet"]);

    assert_eq!(
        rows(&sandbox.destination, "as_json"),
        rows(&sandbox.destination, "as_parquet")
    );
    assert!(matches!(
        compression(&sandbox, "as_parquet"),
        Compression::ZSTD(_)
    ));
    assert_eq!(compression(&sandbox, "as_asked"), Compression::SNAPPY);
    let published = check_published(&sandbox.destination);
    let recorded = |table: &str| published[table][0]["compression"].clone();
    assert_eq!(recorded("as_parquet"), "zstd");
    assert_eq!(recorded("as_json"), "gzip");
}

/// A Bloom filter lets a receiver that looks up one id skip row groups.
#[test]
fn a_definition_can_ask_for_a_bloom_filter() {
    let sandbox = world(TestDestination::local());
    let options = "'bloom_filter_enabled::id' 'true', 'dictionary_enabled::id' 'true'";
    let text = format!("COPY (SELECT id, name FROM sites) TO 'sites' OPTIONS ({options})");
    sandbox.write("sql/sites.sql", text);
    let day = ["--date", "2026-01-15", "sites"];
    sandbox.run(&day).succeeded();
    let keys = sandbox.destination.keys_below("data/sites/");
    let bytes = sandbox.destination.read(&keys[0]);
    let properties = ReaderProperties::builder().set_read_bloom_filter(true);
    let options = ReadOptionsBuilder::new().with_reader_properties(properties.build());
    let file = SerializedFileReader::new_with_options(bytes, options.build()).expect("Parquet");
    let group = file.get_row_group(0).expect("a row group");
    assert!(group.get_column_bloom_filter(0).is_some());
    assert!(group.get_column_bloom_filter(1).is_none());
}

/// Ids are written without a dictionary unless the definition enables it.
#[test]
fn a_definition_can_enable_dictionaries() {
    let sandbox = world(TestDestination::local());
    let sites = (100..500).map(|id| format!("{{\"id\":{id},\"name\":\"same\"}}\n"));
    sandbox.write("raw/sites/more.json", sites.collect::<String>());
    for (rest, of_id) in [("", false), ("OPTIONS ('dictionary_enabled' 'true')", true)] {
        let text = format!("COPY (SELECT id, name FROM sites) TO 'sites' {rest}");
        sandbox.write("sql/sites.sql", text);
        let day = ["--date", "2026-01-15", "--rerun", "sites"];
        sandbox.run(&day).succeeded();
        let keys = sandbox.destination.keys_below("data/sites/");
        let file = SerializedFileReader::new(sandbox.destination.read(&keys[0])).expect("Parquet");
        let group = file.metadata().row_group(0);
        let dictionaries = [0, 1].map(|n| group.column(n).dictionary_page_offset().is_some());
        assert_eq!(dictionaries, [of_id, true], "{rest}");
    }
}

fn compression(sandbox: &Sandbox, table: &str) -> Compression {
    let keys = sandbox.destination.keys_below(&format!("data/{table}/"));
    let file =
        SerializedFileReader::new(sandbox.destination.read(&keys[0])).expect("a Parquet file");
    file.metadata().row_group(0).column(0).compression()
}

#[test]
fn unknown_options_are_refused() {
    let sandbox = world(TestDestination::local());
    for (rest, message) in [
        (
            "STORED AS JSON OPTIONS (compression 'zstd')",
            "compression 'zstd'",
        ),
        (
            "STORED AS JSON OPTIONS (compression_level '13')",
            "compression_level '13' is not 1 to 12",
        ),
        (
            "STORED AS JSON OPTIONS (compression_level '0')",
            "compression_level '0' is not 1 to 12",
        ),
        ("STORED AS JSON OPTIONS (speed 'fast')", "'speed'"),
        ("STORED AS PARQUET OPTIONS (compression 'fast')", "fast"),
        ("STORED AS PARQUET OPTIONS (speed 'fast')", "speed"),
    ] {
        let text = format!("COPY (SELECT id FROM sites) TO 'sites' {rest}");
        sandbox.write("sql/sites.sql", text);
        let output = sandbox
            .run(&["--date", "2026-01-15", "sites"])
            .exited_with(2);
        output.stderr_has("sql/sites.sql").stderr_has(message);
    }
}
