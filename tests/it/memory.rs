//! An export of many partitions stays within its memory limit: most partitions have no open file
//! while the query runs, and their rows go through a sort that spills.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use crate::support::{Sandbox, TestDestination, check_published, decode, gzip, lines};

const DAYS: u64 = 400;
const ROWS: u64 = DAYS * 250;

/// The step between the row numbers of neighbouring lines. It is coprime to [`ROWS`], so that every
/// number occurs once and neighbours are far apart.
const STRIDE: u64 = 61_007;

const SOURCE: &str = "CREATE EXTERNAL TABLE late (
  place BIGINT, time TIMESTAMP(6) WITH TIME ZONE, received TIMESTAMP(6) WITH TIME ZONE, note VARCHAR
) STORED AS JSON LOCATION 'late/'";

const DEFINITION: &str = "COPY (
  SELECT place, note, date_part('year', time) AS year, date_part('month', time) AS month,
         date_part('day', time) AS day
  FROM late WHERE received >= $window_start AND received < $window_end
) TO 'late' PARTITIONED BY (year, month, day)";

macro_rules! in_any_order {
    ($($test:ident: $destination:ident, $format:literal;)+) => {
        $(#[test] fn $test() { in_any_order(TestDestination::$destination(), $format); })+
    };
}

macro_rules! in_order {
    ($($test:ident: $destination:ident, $format:literal;)+) => {
        $(#[test] fn $test() { in_order(TestDestination::$destination(), $format); })+
    };
}

in_any_order! {
    json_in_a_folder: local, "json";
    parquet_on_s3: s3, "parquet";
}

in_order! {
    parquet_in_a_folder_in_order: local, "parquet";
    json_on_s3_in_order: s3, "json";
}

fn in_any_order(destination: TestDestination, format: &str) {
    let sandbox = sandbox(destination, DEFINITION);
    let args = [
        "--date",
        "2026-01-15",
        "--format",
        format,
        "--memory-limit",
        "64MiB",
    ];
    sandbox.run(&args).succeeded();
    for (number, destinations) in by_day(&sandbox) {
        let mut destinations = destinations;
        destinations.sort_unstable();
        assert!(
            destinations.into_iter().eq(of_day(number)),
            "the rows of {}",
            day(number)
        );
    }
}

/// The sort of the query takes memory too, but rows of a partition keep the order of the query.
fn in_order(destination: TestDestination, format: &str) {
    let ordered = DEFINITION.replace("\n) TO", "\n  ORDER BY place\n) TO");
    assert_ne!(ordered, DEFINITION);
    let sandbox = sandbox(destination, &ordered);
    let args = [
        "--date",
        "2026-01-15",
        "--format",
        format,
        "--memory-limit",
        "128MiB",
    ];
    sandbox.run(&args).succeeded();
    for (number, destinations) in by_day(&sandbox) {
        assert!(
            destinations.into_iter().eq(of_day(number)),
            "the rows of {}",
            day(number)
        );
    }
}

fn day(number: u64) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(2024, 12, 1).expect("a day");
    first + Days::new(number)
}

/// Returns the row numbers of a day: the day of a row is the remainder of its number.
fn of_day(number: u64) -> impl Iterator<Item = u64> {
    (number..ROWS).step_by(DAYS as usize)
}

/// Returns a sandbox with rows of four hundred days, unordered, all received on one day.
fn sandbox(destination: TestDestination, definition: &str) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write("sql/sources/late.sql", SOURCE);
    sandbox.write("sql/late.sql", definition.to_owned());
    let rows = (0..ROWS).map(|number| {
        let destination = number * STRIDE % ROWS;
        json!({
            "place": destination,
            "time": format!("{}T12:00:00Z", day(destination % DAYS)),
            "received": "2026-01-15T12:00:00Z",
            "note": format!("{destination:0>200}"),
        })
    });
    sandbox.write("raw/late/late.json.gz", gzip(&lines(rows)));
    sandbox
}

/// Returns the row numbers of each day, in the order of its one file.
fn by_day(sandbox: &Sandbox) -> Vec<(u64, Vec<u64>)> {
    let published = check_published(&sandbox.destination);
    let files = published["late"][0]["files"]
        .as_array()
        .expect("a list of files");
    assert_eq!(files.len() as u64, DAYS);
    (0..DAYS)
        .map(|number| {
            let folders = day(number)
                .format("data/late/year=%Y/month=%-m/day=%-d/")
                .to_string();
            let path = format!(
                "{folders}data-000000000000.{}",
                extension(&published["late"][0])
            );
            let rows = decode(&path, &sandbox.destination.read(&path));
            let destinations = rows
                .iter()
                .map(|row| row["place"].as_u64().expect("a place"));
            (number, destinations.collect())
        })
        .collect()
}

fn extension(manifest: &Value) -> &'static str {
    if manifest["format"] == "json" {
        "json.gz"
    } else {
        "parquet"
    }
}

/// Without `--memory-limit`, the limit is made for the container, not for its machine.
#[test]
fn the_default_limit_fits_into_the_control_group() {
    let Some(group) = ControlGroup::with_memory(256 << 20) else {
        eprintln!("no control group can be made here: skipped");
        return;
    };
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/late.sql", SOURCE);
    sandbox.write("sql/late.sql", DEFINITION);
    sandbox.write("raw/late/late.json", "{}\n");
    let output = group.run(&sandbox, &["query", "--from", "raw", "-vv", "SELECT 1"]);
    // 1.25 times the limit and 100 MiB are 256 MiB.
    assert!(output.contains("memory_limit=124.80 MiB"), "{output}");
}

/// A control group of Linux, which is removed when it is dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Creates a group with a limit in bytes; `None` where that is not possible.
    fn with_memory(bytes: u64) -> Option<ControlGroup> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let group = |line: &str| {
            line.rsplit(':')
                .next()
                .map(|path| path.trim_start_matches('/').to_owned())
        };
        let v1 = own.lines().find(|line| line.contains(":memory:"));
        let (root, file, group) = match v1 {
            Some(line) => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                group(line)?,
            ),
            None => {
                let line = own.lines().find(|line| line.starts_with("0::"))?;
                ("/sys/fs/cgroup", "memory.max", group(line)?)
            }
        };
        let folder = Path::new(root)
            .join(group)
            .join(format!("dayport-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = ControlGroup(folder);
        fs::write(group.0.join(file), bytes.to_string()).ok()?;
        Some(group)
    }

    /// Runs the program in the group, and returns what it prints to stderr.
    fn run(&self, sandbox: &Sandbox, args: &[&str]) -> String {
        let command = sandbox.command(args);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.0.join("cgroup.procs"))
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().expect("a folder"));
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        let output = shell.output().expect("run sh");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
