//! Memory is bounded by bytes, not by rows: a run of wide rows stays within what a container can be sized
//! by, 1.25 times the memory limit and 100 MiB.

#![expect(unsafe_code, reason = "no safe crate returns the memory of one child")]

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Sandbox, TestDestination, check_published, gzip, lines, rows};

const MIB: u64 = 1 << 20;

/// The peak of a run that has hardly anything to do, in an optimized program.
const OPTIMIZED_PEAK: u64 = 64 * MIB;

const SOURCE: &str = "CREATE EXTERNAL TABLE wide (
  id BIGINT, k BIGINT, time TIMESTAMP(6) WITH TIME ZONE, body VARCHAR
) STORED AS JSON LOCATION 'wide/'";

/// Returns a sandbox with files of rows of `bytes` each, and a definition that ends in `clauses`.
fn sandbox(destination: TestDestination, rows: [u64; 2], bytes: usize, clauses: &str) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write("sql/sources/wide.sql", SOURCE);
    let definition = format!(
        "COPY (SELECT id, k, body FROM wide WHERE time >= $window_start AND time < $window_end {clauses}"
    );
    sandbox.write("sql/wide.sql", definition);
    for (file, count) in rows.into_iter().enumerate() {
        let rows = (0..count).map(|id| row(id, file as u64, bytes));
        sandbox.write(&format!("raw/wide/{file}.json.gz"), gzip(&lines(rows)));
    }
    sandbox
}

fn row(id: u64, file: u64, bytes: usize) -> Value {
    json!({
        "id": id,
        "k": id % 5,
        "time": "2026-01-15T12:00:00Z",
        "body": format!("{id}-{file}-").repeat(bytes / 4 + 1)[..bytes],
    })
}

/// Runs the export with a memory limit, and returns the exit code and the peak of its resident memory in
/// bytes.
fn run(sandbox: &Sandbox, limit_mib: u64, args: &[&str]) -> (i32, u64) {
    let limit = format!("{limit_mib}MiB");
    let to = sandbox.destination.url();
    let fixed = ["run", "--from", "raw", "--to", &to, "--date", "2026-01-15"];
    let args = [&fixed, &["--memory-limit", &limit][..], args].concat();
    peak_of(&sandbox.command(&args))
}

/// Runs a command, and returns its exit code and the peak of its resident memory in bytes.
///
/// The peak of a process begins with the memory of the one that has started it. A shell in between has
/// little; it ends at once, and leaves the process to this one.
fn peak_of(command: &Command) -> (i32, u64) {
    // SAFETY: sets an attribute of this process, without pointers.
    let adopts = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    assert_eq!(adopts, 0);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$0\" \"$@\" > /dev/null & echo $!"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().expect("a folder"))
        .stderr(Stdio::inherit());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.output().expect("run sh");
    let pid = String::from_utf8(output.stdout).expect("a process id");
    let pid: i32 = pid.trim().parse().expect("a process id");
    let mut status = 0;
    // SAFETY: the structure is plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call, and the child is not waited for elsewhere.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid);
    let kibibytes = u64::try_from(usage.ru_maxrss).expect("a size");
    (libc::WEXITSTATUS(status), kibibytes * 1024)
}

/// Returns what a container has to have for a memory limit, in bytes.
fn promised(limit_mib: u64) -> u64 {
    (limit_mib + limit_mib / 4 + 100) * MIB
}

/// Returns the peak of a run that has one small row, beyond what it has in an optimized program: the pages
/// of a debug build are many.
fn debug_pages() -> u64 {
    let sandbox = sandbox(TestDestination::local(), [1, 0], 10, ") TO 'wide'");
    let (code, peak) = run(&sandbox, 64, &[]);
    assert_eq!(code, 0);
    peak.saturating_sub(OPTIMIZED_PEAK)
}

#[track_caller]
fn stays_within(limit_mib: u64, (code, peak): (i32, u64)) {
    assert_eq!(code, 0);
    let promised = promised(limit_mib) + debug_pages();
    assert!(
        peak <= promised,
        "{} MiB at a limit of {limit_mib} MiB, of which {} MiB are promised",
        peak / MIB,
        promised / MIB
    );
}

#[test]
fn rows_of_a_mebibyte_in_one_file() {
    let sandbox = sandbox(TestDestination::local(), [60, 60], 1 << 20, ") TO 'wide'");
    stays_within(64, run(&sandbox, 64, &[]));
}

#[test]
fn ten_thousand_partitions() {
    let clauses = ") TO 'wide' PARTITIONED BY (id)";
    let sandbox = sandbox(TestDestination::local(), [10_000, 10_000], 200, clauses);
    stays_within(512, run(&sandbox, 512, &[]));
    let published = check_published(&sandbox.destination);
    let files = published["wide"][0]["files"].as_array().expect("a list");
    assert_eq!(files.len(), 10_000);
}

#[test]
fn rows_of_a_mebibyte_by_partition_on_s3() {
    let clauses = ") TO 'wide' PARTITIONED BY (k)";
    let sandbox = sandbox(TestDestination::s3(), [60, 60], 1 << 20, clauses);
    stays_within(64, run(&sandbox, 64, &["--format", "json"]));
}

#[test]
fn rows_of_a_mebibyte_in_order() {
    let clauses = "ORDER BY body) TO 'wide'";
    let sandbox = sandbox(TestDestination::local(), [60, 60], 1 << 20, clauses);
    for limit in [64, 256] {
        stays_within(limit, run(&sandbox, limit, &["--rerun"]));
        let rows = rows(&sandbox.destination, "wide");
        assert_eq!(rows.len(), 120);
        assert!(rows.is_sorted_by_key(|row| row["body"].as_str().expect("a text").to_owned()));
    }
}

/// The first rows are narrow, in the files and in the output, and the wide ones are last in the output.
#[test]
fn wide_rows_among_others_in_order() {
    let sandbox = sandbox(
        TestDestination::local(),
        [1, 0],
        10,
        "ORDER BY length(body), id) TO 'wide'",
    );
    let rows_of = |file: u64| {
        (0..20_000).map(move |number| {
            let bytes = if number % 250 == 249 { 1 << 20 } else { 20 };
            row(2 * number + file, file, bytes)
        })
    };
    for file in 0..2 {
        let path = format!("raw/wide/{file}.json.gz");
        sandbox.write(&path, gzip(&lines(rows_of(file))));
    }
    stays_within(64, run(&sandbox, 64, &[]));
    let keys = rows(&sandbox.destination, "wide").into_iter().map(|row| {
        let bytes = row["body"].as_str().expect("a text").len();
        (bytes, row["id"].as_u64().expect("a number"))
    });
    let keys: Vec<_> = keys.collect();
    assert_eq!(keys.len(), 40_000);
    assert!(keys.is_sorted());
}

/// The partitions without an open file are sorted, too.
#[test]
fn rows_of_a_mebibyte_in_many_partitions() {
    let clauses = ") TO 'wide' PARTITIONED BY (id)";
    let sandbox = sandbox(TestDestination::local(), [60, 60], 1 << 20, clauses);
    stays_within(64, run(&sandbox, 64, &["--format", "json"]));
    let published = check_published(&sandbox.destination);
    assert_eq!(published["wide"][0]["rows"], 120);
}

/// A window function that looks at all rows holds them, and so does its sort.
#[test]
fn window_functions_count_the_rows_that_they_hold() {
    let of_windows = |function: &str, rows| {
        let definition = format!(
            "COPY (SELECT id, k, body, {function} AS n FROM wide \
             WHERE time >= $window_start AND time < $window_end) TO 'wide'"
        );
        let sandbox = sandbox(TestDestination::local(), rows, 1 << 18, "");
        sandbox.write("sql/wide.sql", definition);
        sandbox
    };
    let all_rows = "count(*) OVER (PARTITION BY k)";
    let args = ["--date", "2026-01-15", "--memory-limit", "64MiB"];
    of_windows(all_rows, [200, 200])
        .run(&args)
        .exited_with(1)
        .stderr_has(
            "error: wide 2026-01-15: the memory limit is too small for the window functions",
        )
        .stderr_has("they hold all rows of their input in memory, and there is no room for");
    let few = of_windows(all_rows, [40, 40]);
    stays_within(64, run(&few, 64, &[]));
    assert_eq!(rows(&few.destination, "wide").len(), 80);
}

/// Rows that are numbered are in the output as soon as they are counted. They pass an exchange and a filter.
#[test]
fn numbered_rows_are_not_held() {
    let numbered = "SELECT id, k, body, row_number() OVER (PARTITION BY k ORDER BY id) AS n FROM wide \
         WHERE time >= $window_start AND time < $window_end";
    let definition = format!("COPY (SELECT * FROM ({numbered}) AS x WHERE n % 100 <> 7) TO 'wide'");
    let sandbox = sandbox(TestDestination::local(), [400, 400], 1 << 18, "");
    sandbox.write("sql/wide.sql", definition);
    stays_within(64, run(&sandbox, 64, &[]));
    assert_eq!(rows(&sandbox.destination, "wide").len(), 790);
}

/// The widest rows that a memory limit admits.
#[test]
fn rows_of_two_mebibytes_at_the_least_limit() {
    for clauses in [
        "ORDER BY body) TO 'wide'",
        ") TO 'wide' PARTITIONED BY (k)",
        ") TO 'wide' PARTITIONED BY (id)",
    ] {
        let sandbox = sandbox(TestDestination::local(), [20, 20], (2 << 20) - 200, clauses);
        for format in ["json", "parquet"] {
            let args = ["--rerun", "--accept-change", "--format", format];
            stays_within(64, run(&sandbox, 64, &args));
        }
    }
}

/// Usual rows, too, are sorted in a pool that they do not fit into.
#[test]
fn many_rows_in_order() {
    let clauses = "ORDER BY body DESC) TO 'wide'";
    let sandbox = sandbox(TestDestination::local(), [40_000, 40_000], 2000, clauses);
    for limit in [64, 128] {
        stays_within(limit, run(&sandbox, limit, &["--rerun"]));
    }
    let rows = rows(&sandbox.destination, "wide");
    assert_eq!(rows.len(), 80_000);
    let text = |row: &Value| row["body"].as_str().expect("a text").to_owned();
    assert!(rows.is_sorted_by(|one, next| text(one) >= text(next)));
}

/// A row that is too long for the memory limit fails the run, which names table, file and line, and what
/// it needs.
#[test]
fn a_row_that_does_not_fit_is_named() {
    let sandbox = sandbox(TestDestination::local(), [2, 0], 20 << 20, ") TO 'wide'");
    let args = ["--date", "2026-01-15", "--memory-limit", "64MiB"];
    sandbox
        .run(&args)
        .exited_with(1)
        .stderr_has("wide/0.json.gz")
        .stderr_has("line 1 of")
        .stderr_has("raise --memory-limit to at least 672MiB");
    stays_within(672, run(&sandbox, 672, &[]));
}

/// The same of a Parquet file: its row group fits into the memory limit, and its row does not.
#[test]
fn a_row_of_a_parquet_file_that_does_not_fit_is_named() {
    let sandbox = sandbox(TestDestination::local(), [0, 0], 0, ") TO 'wide'");
    let rows = [row(0, 0, 10), row(1, 0, 3 << 20), row(2, 0, 10)];
    sandbox.write("raw/wide/0.json.gz", gzip(&lines(rows)));
    stays_within(128, run(&sandbox, 128, &[]));
    let published = check_published(&sandbox.destination);
    let path = published["wide"][0]["files"][0]["path"].as_str();
    let file = sandbox.destination.read(path.expect("a path"));
    sandbox.write("raw/stored/0.parquet", file);
    let source = "CREATE EXTERNAL TABLE stored (id BIGINT, body VARCHAR) STORED AS PARQUET LOCATION 'stored/'";
    sandbox.write("sql/sources/stored.sql", source);
    let definition = "COPY (SELECT id, body FROM stored) TO 'copied'";
    sandbox.write("sql/copied.sql", definition);
    let args = ["--date", "2026-01-15", "copied", "--memory-limit"];
    sandbox
        .run(&[&args[..], &["64MiB"]].concat())
        .exited_with(1)
        .stderr_has("stored/0.parquet` row 2: the row has 4 MiB in the columns that are read")
        .stderr_has("raise --memory-limit to at least 97MiB");
    sandbox
        .run(&[&args[..], &["97MiB"]].concat())
        .exited_with(0);
}
