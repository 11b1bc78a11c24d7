//! Faults that are planted between decoders and encoders, one in each run: a row that is lost or comes
//! twice is noticed before the commit, and nothing is published.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::books::{Lines, parquet};
use crate::support::{CommandOutput, Sandbox, TestDestination, lines, repository};
use crate::world::incompressible;

/// The check that refuses a fault, as its message shows.
const BOOKS: &str = "the books do not balance, so rows were lost or duplicated on the way";
const WRITER: &str = "rows, and the files have";
const FORMAT: &str = "rows and has";
const SORT: &str = "";

const IN_CYCLE: &str = "time >= $window_start AND time < $window_end";

macro_rules! planted {
    ($($test:ident: $fault:literal, $scenario:ident, $refusal:ident;)+) => {
        const FAULTS: &[&str] = &[$($fault),+];
        $(#[test] fn $test() { refuses($fault, &$scenario(), $refusal); })+
    };
}

planted! {
    rows_of_decoded_lines: "the last row of decoded lines is lost", whole, BOOKS;
    a_line_decoded_again: "a line that is decoded again is lost", shared_lines, BOOKS;
    a_malformed_line: "a malformed line is not counted", whole, BOOKS;
    lines_sent_twice: "a batch of lines is sent twice", whole, BOOKS;
    a_consumer_of_lines: "a consumer of lines misses a chunk", shared_lines, BOOKS;
    a_batch_not_sent: "a batch is not sent", whole, BOOKS;
    a_batch_not_received: "a received batch is lost", filtered, BOOKS;
    a_row_of_a_whole_scan: "a row of a whole scan is lost", whole, BOOKS;
    a_batch_without_a_match: "a batch is taken for one without a matching row", filtered, BOOKS;
    one_row_too_few: "the filter drops a row that matches", filtered, BOOKS;
    one_row_too_many: "the filter keeps a row that does not match", filtered, BOOKS;
    a_row_of_another_filter: "a filter of DataFusion drops a row that matches", numbered, BOOKS;
    the_rest_of_the_coalescer: "the rows that are still coalesced are lost", filtered, BOOKS;
    a_coalesced_batch: "one of the coalesced batches is lost", filtered, BOOKS;
    coalesced_twice: "a batch is coalesced twice", filtered, BOOKS;
    the_minority_of_a_split: "the rows beside the majority are lost", by_day, BOOKS;
    the_minority_twice: "the rows beside the majority come twice", by_day, BOOKS;
    a_change_of_the_majority: "rows are lost when the majority changes", by_day, BOOKS;
    rows_of_parquet: "the last row of a Parquet batch is lost", whole_parquet, BOOKS;
    rows_of_shared_parquet: "the last row of a Parquet batch is lost", shared_parquet, BOOKS;
    a_consumer_of_parquet: "a consumer of Parquet misses a batch", shared_parquet, BOOKS;
    the_input_of_a_sort: "the first batch of a sort is lost", sorted, BOOKS;
    the_end_of_a_merged_input: "an input of a merge ends early", sorted, BOOKS;
    a_run_of_a_merge: "a run of a merge is lost", sorted, BOOKS;
    a_spill_file: "the spill files of a sort are cut", spilled, SORT;
    the_end_of_a_spill_file: "the spill files of a sort end early", spilled, BOOKS;
    a_batch_not_written: "a batch of the query is not written", by_day, BOOKS;
    a_batch_written_twice: "a batch of the query is written twice", by_day, BOOKS;
    a_file_of_the_result: "a file of the plan's result is lost", by_day, BOOKS;
    a_row_that_is_cast: "a row is lost in the cast to the columns of the files", by_day, WRITER;
    a_partition_of_a_batch: "the rows of one partition of a batch are lost", by_day, WRITER;
    the_last_small_batches: "the last small batches of a file are lost", few_by_day, WRITER;
    a_queued_batch: "a batch that is queued for a file is lost", by_day, WRITER;
    the_rest_of_a_batch: "the rest of a batch is lost when a file is written", large_batches, WRITER;
    a_staged_file: "a staged file is lost", by_day, WRITER;
    an_encoder_without_a_batch: "an encoder is not given a batch", whole, FORMAT;
    an_encoder_with_a_batch_twice: "an encoder is given a batch twice", whole, FORMAT;
    a_batch_sorted_by_partition: "a batch of the sort by partition is lost", many_partitions, WRITER;
    a_row_sorted_by_partition: "a row of the sort by partition is lost", many_partitions, WRITER;
    a_sorted_partition: "the files of a sorted partition are lost", many_partitions, WRITER;
}

/// Definitions over raw data, and the arguments to run them with.
struct Scenario {
    sandbox: Sandbox,
    args: Vec<&'static str>,
}

impl Scenario {
    fn new(sandbox: Sandbox, args: &[&'static str]) -> Self {
        let day = [
            "--date",
            "2026-01-15",
            "--max-rejects",
            "9",
            "--output",
            "json",
        ];
        Self {
            sandbox,
            args: [&day[..], args].concat(),
        }
    }

    /// Runs it with a fault, or with none.
    fn run(&self, fault: &str) -> CommandOutput {
        let to = self.sandbox.destination.url();
        let args = [&["run", "--from", "raw", "--to", &to][..], &self.args].concat();
        let mut command = self.sandbox.command(&args);
        let output = command.env("DAYPORT_PLANTED_FAULT", fault).output();
        CommandOutput::new(&args, output.expect("start dayport"))
    }
}

/// Asserts that a run with a fault publishes nothing of the table that it strikes.
fn refuses(fault: &str, scenario: &Scenario, refusal: &str) {
    let output = scenario.run(fault).exited_with(1);
    let output = output
        .stderr_has("a planted fault strikes")
        .stderr_has(fault);
    let report = output.report();
    let tables = report["tables"].as_array().expect("tables").iter();
    let failed: Vec<_> = tables.filter(|table| table["result"] == "failed").collect();
    assert!(!failed.is_empty(), "{output}");
    let destination = &scenario.sandbox.destination;
    for table in failed {
        let error = table["error"].as_str().expect("an error");
        assert!(error.contains(refusal), "`{refusal}` is not in\n{output}");
        let name = table["table"].as_str().expect("a name");
        for folder in ["data", "manifests"] {
            let keys = destination.keys_below(&format!("{folder}/{name}/"));
            assert!(keys.is_empty(), "{keys:?} after\n{output}");
        }
    }
    assert_eq!(destination.leftovers(), Vec::<String>::new());
}

#[test]
fn without_a_fault_each_scenario_balances() {
    let scenarios = [
        whole(),
        filtered(),
        numbered(),
        by_day(),
        few_by_day(),
        shared_lines(),
        whole_parquet(),
        shared_parquet(),
        sorted(),
        large_batches(),
        many_partitions(),
    ];
    for scenario in scenarios {
        let output = scenario.run("none of them").exited_with(0);
        for table in output.report()["tables"].as_array().expect("tables") {
            let balance = &table["balance"];
            assert_eq!(balance["exported"], table["rows"], "{output}");
            assert!(balance["read"].is_u64(), "{output}");
        }
    }
}

/// A fault that no test plants proves nothing.
#[test]
fn each_fault_of_the_sources_is_planted() {
    let mut found = BTreeSet::new();
    collect_faults(&repository().join("src"), &mut found);
    let planted: BTreeSet<String> = FAULTS.iter().map(|fault| (*fault).to_owned()).collect();
    assert_eq!(found, planted);
    assert!(planted.len() >= 30, "{}", planted.len());
}

/// Collects the faults that the files below a folder name: literals behind these functions.
fn collect_faults(folder: &Path, faults: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("read a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_faults(&path, faults);
            continue;
        }
        let text = fs::read_to_string(&path).expect("read a file");
        for function in ["strikes(", "strikes_rows(", "without_last_row("] {
            let calls = text.split(function).skip(1);
            faults.extend(calls.filter_map(|call| {
                let literal = call.trim_start().strip_prefix('"')?;
                Some(literal.split('"').next()?.to_owned())
            }));
        }
    }
}

fn whole() -> Scenario {
    let sandbox = Lines::sandbox();
    sandbox.write("sql/all.sql", "COPY (SELECT id FROM one) TO 'all'");
    Scenario::new(sandbox, &[])
}

fn filtered() -> Scenario {
    let sandbox = Lines::sandbox();
    let query = "SELECT id, day FROM one WHERE kind = 'common'";
    sandbox.write("sql/common.sql", format!("COPY ({query}) TO 'common'"));
    Scenario::new(sandbox, &[])
}

/// The filter is not that of the scan.
fn numbered() -> Scenario {
    let sandbox = Lines::sandbox();
    let query =
        "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM one) WHERE n > 9";
    sandbox.write("sql/numbered.sql", format!("COPY ({query}) TO 'numbered'"));
    Scenario::new(sandbox, &[])
}

/// Most rows of a file are of its day, and some are late.
fn by_day() -> Scenario {
    let sandbox = Lines::sandbox();
    let query = format!("SELECT id, day FROM one WHERE kind = 'common' AND {IN_CYCLE}");
    let definition = format!("COPY ({query}) TO 'days' PARTITIONED BY (day)");
    sandbox.write("sql/days.sql", definition);
    Scenario::new(sandbox, &[])
}

/// Each day has fewer rows than are sent to a file at once.
fn few_by_day() -> Scenario {
    let sandbox = Lines::sandbox();
    let query = format!("SELECT id, day FROM one WHERE id % 50 = 0 AND {IN_CYCLE}");
    let definition = format!("COPY ({query}) TO 'few' PARTITIONED BY (day)");
    sandbox.write("sql/few.sql", definition);
    Scenario::new(sandbox, &[])
}

/// A line is malformed for one of two tables.
fn shared_lines() -> Scenario {
    let sandbox = Lines::sandbox();
    sandbox.write("sql/ids.sql", "COPY (SELECT id FROM one) TO 'ids'");
    sandbox.write(
        "sql/notes.sql",
        "COPY (SELECT id, note FROM one) TO 'notes'",
    );
    Scenario::new(sandbox, &[])
}

fn parquet_sandbox() -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    let source = "CREATE EXTERNAL TABLE one (id BIGINT) STORED AS PARQUET LOCATION 'one/'";
    sandbox.write("sql/sources/one.sql", source);
    for part in 0..2 {
        let file = parquet(part * 1000..part * 1000 + 1000, 400);
        sandbox.write(&format!("raw/one/{part}.parquet"), file);
    }
    sandbox
}

fn whole_parquet() -> Scenario {
    let sandbox = parquet_sandbox();
    sandbox.write("sql/all.sql", "COPY (SELECT id FROM one) TO 'all'");
    Scenario::new(sandbox, &[])
}

fn shared_parquet() -> Scenario {
    let sandbox = parquet_sandbox();
    let filtered = "COPY (SELECT id FROM one WHERE id % 3 > 0) TO 'filtered'";
    sandbox.write("sql/all.sql", "COPY (SELECT id FROM one) TO 'all'");
    sandbox.write("sql/filtered.sql", filtered);
    Scenario::new(sandbox, &[])
}

/// Two sorts of the same source are merged.
fn sorted() -> Scenario {
    let sandbox = Lines::sandbox();
    let query = "SELECT id, note FROM one UNION ALL SELECT id, kind FROM one ORDER BY id";
    sandbox.write("sql/twice.sql", format!("COPY ({query}) TO 'twice'"));
    Scenario::new(sandbox, &[])
}

/// A sort that does not fit into memory.
fn spilled() -> Scenario {
    let sandbox = Sandbox::empty(TestDestination::local());
    let source =
        "CREATE EXTERNAL TABLE wide (id BIGINT, note VARCHAR) STORED AS JSON LOCATION 'wide/'";
    sandbox.write("sql/sources/wide.sql", source);
    let rows = (0..30_000).map(|id| {
        let note = incompressible(id).repeat(24);
        json!({ "id": id * 7919 % 30_000, "note": note })
    });
    sandbox.write("raw/wide/0.json", lines(rows));
    let query = "SELECT id, note FROM wide ORDER BY id";
    sandbox.write("sql/wide.sql", format!("COPY ({query}) TO 'wide'"));
    Scenario::new(sandbox, &["--memory-limit", "64MiB"])
}

/// More rows in a batch than a file encodes at once.
fn large_batches() -> Scenario {
    let sandbox = Sandbox::empty(TestDestination::local());
    let source = "CREATE EXTERNAL TABLE many (id BIGINT) STORED AS JSON LOCATION 'many/'";
    sandbox.write("sql/sources/many.sql", source);
    let rows = (0..12_000).map(|id| json!({ "id": id }));
    sandbox.write("raw/many/0.json", lines(rows));
    sandbox.write("sql/many.sql", "COPY (SELECT id FROM many) TO 'many'");
    Scenario::new(sandbox, &["--memory-limit", "2GiB"])
}

/// More partitions than files that are open at a time.
fn many_partitions() -> Scenario {
    let sandbox = Lines::sandbox();
    let query = format!("SELECT id, id % 150 AS part FROM one WHERE {IN_CYCLE}");
    let definition = format!("COPY ({query}) TO 'parts' PARTITIONED BY (part)");
    sandbox.write("sql/parts.sql", definition);
    Scenario::new(sandbox, &["--memory-limit", "64MiB"])
}
