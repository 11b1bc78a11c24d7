//! Runs on a cluster: the same definitions and the same commit, with a scheduler and executors as
//! separate processes.

mod failure;
mod processes;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    Sandbox, TestDestination, check_published, check_tidy, current_manifests, decode,
    for_each_destination, gzip, rows, sorted,
};
use crate::world::{set_views, view, world};
use processes::Cluster;

/// A task size so small that the events of a day are several tasks, each with many rows.
const TASK_SIZE: [&str; 4] = ["--task-size", "100KiB", "--target-file-size", "1MiB"];

const DAY: [&str; 2] = ["--date", "2026-01-15"];

/// An aggregate whose partitions get rows from every task of the scan.
const COUNTS: &str = "COPY (
  SELECT name, date_part('hour', time) AS hour, count(*) AS events FROM events
  WHERE time >= $window_start AND time < $window_end GROUP BY name, date_part('hour', time)
) TO 'counts' PARTITIONED BY (name)";

/// A total order, which needs a single writer.
const ORDERED: &str = "COPY (
  SELECT time, event_id, name FROM events
  WHERE time >= $window_start AND time < $window_end ORDER BY time DESC, event_id
) TO 'ordered' STORED AS JSON";

/// A join of two scans.
const JOINED: &str = "COPY (
  SELECT earlier.event_id, later.event_id AS later, date_part('hour', earlier.time) AS hour
  FROM events earlier JOIN events later
    ON earlier.user_id = later.user_id AND later.time > earlier.time
  WHERE earlier.time >= $window_start AND earlier.time < $window_end
    AND earlier.name = 'Pageview' AND later.time >= $window_start AND later.time < $window_end AND later.name = 'Pageview'
  UNION ALL
  SELECT event_id, NULL AS later, date_part('hour', time) AS hour FROM events
  WHERE time >= $window_start AND time < $window_end AND name = 'SlotClicked'
) TO 'joined' PARTITIONED BY (hour)";

const OWN: [(&str, &str); 3] = [
    ("sql/counts.sql", COUNTS),
    ("sql/ordered.sql", ORDERED),
    ("sql/joined.sql", JOINED),
];

for_each_destination!(
    one_two_and_three_executors_give_the_rows_of_one_machine,
    rows_of_parquet_are_the_same_and_counted,
    a_malformed_line_in_a_task_names_its_file_and_line,
    arithmetic_in_a_task_fails_on_overflow,
    malformed_lines_of_tasks_are_recorded,
    tasks_read_records_of_documents,
    files_without_a_good_line_and_misplaced_rows_of_tasks_are_reported,
    tasks_do_not_decode_leaves_that_no_query_uses,
    names_of_concurrent_writers_are_never_reused,
    a_snapshot_without_rows_is_one_empty_file,
);

/// Returns the sorted rows of each partition of each table.
fn partitions(destination: &TestDestination) -> BTreeMap<String, Vec<Value>> {
    let mut partitions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (table, manifests) in current_manifests(destination) {
        for manifest in manifests {
            for file in manifest["files"].as_array().expect("a list of files") {
                let path = file["path"].as_str().expect("a path");
                let partition = format!("{table} {}", file["partition"]);
                let rows = partitions.entry(partition).or_default();
                rows.extend(decode(path, &destination.read(path)));
            }
        }
    }
    let sorted_rows = |(partition, rows)| (partition, sorted(rows));
    partitions.into_iter().map(sorted_rows).collect()
}

/// Returns the sources of the newest manifest of each table.
fn sources(destination: &TestDestination) -> BTreeMap<String, Value> {
    let manifests = current_manifests(destination).into_iter();
    let of_table = |(table, mut manifests): (String, Vec<Value>)| {
        let mut newest = manifests.pop().expect("a manifest");
        let sources = newest["sources"].as_array_mut().expect("a list");
        for source in sources {
            // The digest covers file names, which begin with the path of the sandbox.
            source.as_object_mut().expect("an object").remove("digest");
            // Executors do not report which columns had values.
            let members = source.as_object_mut().expect("an object");
            members.remove("without_values");
        }
        (table, newest["sources"].take())
    };
    manifests.map(of_table).collect()
}

/// Returns the number of files of each table.
fn files(destination: &TestDestination) -> BTreeMap<String, usize> {
    let manifests = current_manifests(destination).into_iter();
    let of_table = |(table, mut manifests): (String, Vec<Value>)| {
        let newest = manifests.pop().expect("a manifest");
        let files = newest["files"].as_array().expect("a list of files");
        (table, files.len())
    };
    manifests.map(of_table).collect()
}

fn one_two_and_three_executors_give_the_rows_of_one_machine(destination: TestDestination) {
    let on_one = Sandbox::fixtures(TestDestination::local());
    for (path, text) in OWN {
        on_one.write(path, text);
    }
    on_one.run(&DAY).succeeded();
    let (expected, read) = (
        partitions(&on_one.destination),
        sources(&on_one.destination),
    );
    assert!(expected.len() >= 9, "{} partitions", expected.len());

    let sandbox = Sandbox::fixtures(destination);
    for (path, text) in OWN {
        sandbox.write(path, text);
    }
    let mut cluster = Cluster::start(&sandbox, 1);
    for executors in 1..=3 {
        cluster.add(&sandbox, executors - cluster.executors.len());
        let args = [&DAY[..], &TASK_SIZE, &["--rerun"]].concat();
        sandbox.run_on(&cluster.url, &args).succeeded();
        check_published(&sandbox.destination);
        assert_eq!(
            partitions(&sandbox.destination),
            expected,
            "{executors} executors"
        );
        assert_eq!(sources(&sandbox.destination), read, "{executors} executors");
        let files = files(&sandbox.destination);
        assert_eq!(files["pageview_events"], 6, "one for each task");
        assert_eq!(files["slotclicked_events"], 1, "few rows are gathered");
        // An aggregate has few rows: one file for each partition.
        let counted = expected.keys().filter(|key| key.starts_with("counts "));
        assert_eq!(files["counts"], counted.count());
        assert_eq!(files["ordered"], 1);
        assert_eq!(
            rows(&sandbox.destination, "ordered"),
            rows(&on_one.destination, "ordered")
        );
    }
    // Little data becomes one file per partition, whatever the number of executors.
    let small_tables = [&DAY[..], &["--rerun", "pageview_events", "domains"]].concat();
    sandbox.run_on(&cluster.url, &small_tables).succeeded();
    check_published(&sandbox.destination);
    assert_eq!(partitions(&sandbox.destination), expected);
    assert_eq!(files(&sandbox.destination)["pageview_events"], 1);
}

/// Returns a view of 2026-01-15 that was received on that day.
fn received(id: u64) -> Value {
    let mut view = view(id, 15);
    view["received"] = json!("2026-01-15T13:00:00Z");
    view
}

fn a_snapshot_without_rows_is_one_empty_file(destination: TestDestination) {
    let sandbox = world(destination);
    sandbox.write("raw/sites/more.json", "{\"id\": 7}\n");
    let none = "COPY (SELECT id, name FROM sites WHERE id < 0) TO 'sites'";
    sandbox.write("sql/sites.sql", none);
    let cluster = Cluster::start(&sandbox, 1);
    let args = [&DAY[..], &["sites", "--task-size", "1"]].concat();
    sandbox.run_on(&cluster.url, &args).succeeded();
    let published = check_published(&sandbox.destination);
    assert_eq!(published["sites"][0]["sources"][0]["rows_read"], 3);
    let no_books = json!({ "not_countable": "it ran on a cluster" });
    assert_eq!(published["sites"][0]["balance"], no_books);
    assert_eq!(files(&sandbox.destination)["sites"], 1);
    assert_eq!(rows(&sandbox.destination, "sites"), Vec::<Value>::new());
}

/// Returns a world with two valid lines in one file, and one valid and two malformed lines in another.
fn world_with_malformed_lines(destination: TestDestination) -> Sandbox {
    let sandbox = world(destination);
    set_views(&sandbox, 15, &[received(3), received(4)]);
    let good = received(1);
    let text = format!("{good}\n{{\"id\": 2\n\n{{\"id\": \"four\"}}\n");
    sandbox.write("raw/views/date=2026-01-15/more.json.gz", gzip(&text));
    for day in [11, 12, 13, 14, 16] {
        sandbox.remove(&format!("raw/views/date=2026-01-{day}/views.json"));
    }
    sandbox
}

fn a_malformed_line_in_a_task_names_its_file_and_line(destination: TestDestination) {
    let sandbox = world_with_malformed_lines(destination);
    let cluster = Cluster::start(&sandbox, 1);
    let args = [&DAY[..], &["views", "--max-rejects", "0"]].concat();
    let output = sandbox.run_on(&cluster.url, &args).exited_with(1);
    output
        .stderr_has("date=2026-01-15/more.json.gz")
        .stderr_has("line 2");
    assert_eq!(current_manifests(&sandbox.destination), BTreeMap::new());
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        Vec::<String>::new()
    );
}

/// The first overflows in the projection of a task, the second in a sum that other tasks merge.
fn arithmetic_in_a_task_fails_on_overflow(destination: TestDestination) {
    let sandbox = Sandbox::fixtures(destination);
    let cluster = Cluster::start(&sandbox, 1);
    for select in [
        "time, CAST(length(event_id) AS BIGINT) * 9223372036854775807 AS x",
        "name, sum(CAST(9223372036854775807 AS BIGINT) - length(name)) AS x",
    ] {
        let group = match select.contains("sum(") {
            true => "GROUP BY name",
            false => "",
        };
        let query = format!(
            "COPY (SELECT {select} FROM events
             WHERE time >= $window_start AND time < $window_end {group}) TO 'overflow'"
        );
        sandbox.write("sql/overflow.sql", query);
        let args = [&DAY[..], &["overflow"]].concat();
        sandbox
            .run_on(&cluster.url, &args)
            .exited_with(1)
            .stderr_has("arithmetic overflow: ");
    }
    assert_eq!(current_manifests(&sandbox.destination), BTreeMap::new());
}

fn rows_of_parquet_are_the_same_and_counted(destination: TestDestination) {
    let sources = Sandbox::fixtures(TestDestination::local());
    sources
        .run(&[&DAY[..], &["pageview_events"]].concat())
        .succeeded();
    let parquet = |sandbox: &Sandbox| {
        for name in ["one", "two", "three"] {
            let [file] = &sources.destination.keys_below("data/pageview_events/")[..] else {
                panic!("one file");
            };
            let path = format!("raw/views/{name}.parquet");
            sandbox.write(&path, sources.destination.read(file));
        }
        sandbox.write("sql/sources/views.sql", PARQUET_VIEWS);
        sandbox.write("sql/views.sql", PARQUET_COPY);
    };
    let on_one = Sandbox::empty(TestDestination::local());
    parquet(&on_one);
    on_one.run(&DAY).succeeded();

    let sandbox = Sandbox::empty(destination);
    parquet(&sandbox);
    let cluster = Cluster::start(&sandbox, 2);
    let args = [&DAY[..], &TASK_SIZE].concat();
    sandbox.run_on(&cluster.url, &args).succeeded();
    check_published(&sandbox.destination);
    assert_eq!(
        partitions(&sandbox.destination),
        partitions(&on_one.destination)
    );
    assert_eq!(
        self::sources(&sandbox.destination),
        self::sources(&on_one.destination)
    );
    assert!(files(&sandbox.destination)["views"] > 1);
}

const PARQUET_VIEWS: &str = "CREATE EXTERNAL TABLE views (
  time TIMESTAMP(6) WITH TIME ZONE, event_id VARCHAR, user_id VARCHAR
) STORED AS PARQUET LOCATION 'views/'";

const PARQUET_COPY: &str = "COPY (
  SELECT time, event_id, user_id FROM views
  WHERE time >= $window_start AND time < $window_end AND user_id IS NOT NULL
) TO 'views'";

fn tasks_read_records_of_documents(destination: TestDestination) {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL) STORED AS JSON LOCATION 'events/'
         OPTIONS ('records' '$.Records[*]')",
    );
    sandbox.write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'");
    let document = |ids: &str| format!("{{\"Records\":[{}]}}", ids.replace('i', "\n{\"id\": "));
    sandbox.write("raw/events/a.json", document("i1},i\"x\"},i3}"));
    sandbox.write("raw/events/b.json.gz", gzip(&document("i4},i5}")));
    let cluster = Cluster::start(&sandbox, 2);
    let args = [&DAY[..], &["t", "--task-size", "1", "--max-rejects", "1"]].concat();
    sandbox.run_on(&cluster.url, &args).exited_with(0);
    let published = check_published(&sandbox.destination);
    let manifest = &published["t"][0];
    assert_eq!(manifest["sources"][0]["rows_read"], 4);
    let path = manifest["rejects"][0]["path"].as_str().expect("a path");
    let rejects = decode(path, &sandbox.destination.read(path));
    assert_eq!(
        (&rejects[0]["record"], &rejects[0]["offset"]),
        (&2.into(), &24.into())
    );

    sandbox.write("raw/events/c.json", "{\"Records\":[{\"id\":6},");
    let rerun = [&args[..], &["--rerun"]].concat();
    sandbox
        .run_on(&cluster.url, &rerun)
        .exited_with(1)
        .stderr_has("c.json` of the source `events` cannot be read behind byte 21: ");
}

fn malformed_lines_of_tasks_are_recorded(destination: TestDestination) {
    let sandbox = world_with_malformed_lines(destination);
    let cluster = Cluster::start(&sandbox, 2);
    let args = [&DAY[..], &["views", "--task-size", "1"]].concat();

    // The count is known only after all tasks: the files that are staged by then are discarded.
    let strict = [&args[..], &["--max-rejects", "1"]].concat();
    let output = sandbox.run_on(&cluster.url, &strict).exited_with(1);
    output.stderr_has("2 of 5 lines").stderr_has("line 2");
    assert_eq!(current_manifests(&sandbox.destination), BTreeMap::new());
    check_tidy(&sandbox.destination);

    // The operator's copy has the lines that tasks rejected, and with 0 all of them.
    for limit in ["0", "1"] {
        let more = ["--max-rejects", limit, "--rejects-to", "mine"];
        let output = sandbox.run_on(&cluster.url, &[&args[..], &more].concat());
        output
            .exited_with(1)
            .stderr_has("2 of 5 lines")
            .stderr_has("note: views 2026-01-15: 2 malformed lines of the source `views` are in `");
        let folder = sandbox.folder().join("mine/views/2026-01-15");
        let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder").collect();
        let [Ok(file)] = &files[..] else {
            panic!("one file: {files:?}");
        };
        let bytes = std::fs::read(file.path()).expect("a file").into();
        let lines = decode(&file.path().display().to_string(), &bytes);
        let texts: Vec<&Value> = lines.iter().map(|line| &line["text"]).collect();
        assert_eq!(texts, ["{\"id\": 2", "{\"id\": \"four\"}"]);
        assert_eq!(lines[1]["value"], "\"four\"");
        std::fs::remove_dir_all(folder).expect("delete a folder");
    }

    let lenient = [&args[..], &["--max-rejects", "2"]].concat();
    sandbox.run_on(&cluster.url, &lenient).exited_with(0);
    // Compares the record with the count.
    let published = check_published(&sandbox.destination);
    let source = &published["views"][0]["sources"][0];
    assert_eq!(source["rows_rejected"], 2);
    let record = &published["views"][0]["rejects"][0];
    let path = record["path"].as_str().expect("a path");
    let lines = decode(path, &sandbox.destination.read(path));
    let numbers: Vec<&Value> = lines.iter().map(|line| &line["line"]).collect();
    assert_eq!(numbers, [2, 4]);
}

fn files_without_a_good_line_and_misplaced_rows_of_tasks_are_reported(
    destination: TestDestination,
) {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP(6), date DATE)
         STORED AS JSON PARTITIONED BY (date) LOCATION 'events/' OPTIONS ('time_column' 'time')",
    );
    sandbox.write(
        "sql/events.sql",
        "COPY (SELECT id, time FROM events
         WHERE time >= $window_start AND time < $window_end) TO 'events'",
    );
    let folder = "raw/events/date=2026-01-15";
    let line = |time: &str| format!("{{\"id\":1,\"time\":\"{time}\"}}\n");
    let misplaced = line("2026-01-14T23:59:59.9Z") + &line("2026-01-15T00:00:00Z");
    sandbox.write(&format!("{folder}/a.json"), misplaced);
    sandbox.write(&format!("{folder}/b.json"), line("2026-01-15T12:00:00Z"));
    let cluster = Cluster::start(&sandbox, 2);
    let args = [&DAY[..], &["events", "--task-size", "1"]].concat();
    let output = sandbox.run_on(&cluster.url, &args).exited_with(0);
    output.stderr_has("1 row of the source `events` is in no cycle, up to 1 second");
    let published = check_published(&sandbox.destination);
    let source = &published["events"][0]["sources"][0];
    assert_eq!(source["misplaced"]["rows"], 1);

    let frame = format!("{{\"Records\":[{}]}}", vec!["{\"id\":1}"; 9000].join(","));
    sandbox.write(&format!("{folder}/c.json"), frame);
    let rerun = [&args[..], &["--rerun"]].concat();
    let output = sandbox.run_on(&cluster.url, &rerun).exited_with(1);
    output.stderr_has("c.json` of the source `events` has no good line: it looks like objects in a \"Records\" list");
    let joined = line("2026-01-15T12:00:00Z") + &"{\"id\":1}".repeat(9000);
    sandbox.write(&format!("{folder}/c.json"), joined);
    let half = [&rerun[..], &["--max-rejects", "50%"]].concat();
    let output = sandbox.run_on(&cluster.url, &half).exited_with(1);
    output.stderr_has(" bytes (1 of 5 lines) of the source `events` are malformed");
}

fn tasks_do_not_decode_leaves_that_no_query_uses(destination: TestDestination) {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/views.sql",
        "CREATE EXTERNAL TABLE views (id BIGINT, page STRUCT<url VARCHAR, title VARCHAR>)
         STORED AS JSON LOCATION 'views/'",
    );
    sandbox.write(
        "sql/urls.sql",
        "COPY (SELECT id, page['url'] AS url FROM views WHERE id > 0) TO 'urls'",
    );
    sandbox.write(
        "sql/titles.sql",
        "COPY (SELECT page['title'] AS title FROM views) TO 'titles'",
    );
    let text =
        "{\"id\":1,\"page\":{\"url\":\"a\",\"title\":7}}\n{\"id\":2,\"page\":{\"url\":\"b\"}}\n";
    sandbox.write("raw/views/a.json.gz", gzip(text));
    let cluster = Cluster::start(&sandbox, 1);
    let strict = [&DAY[..], &["urls", "titles", "--max-rejects", "0"]].concat();
    let output = sandbox.run_on(&cluster.url, &strict).exited_with(1);
    output.stderr_has("line 1: field `page.title`");
    let urls = [json!({"id": 1, "url": "a"}), json!({"id": 2, "url": "b"})];
    assert_eq!(sorted(rows(&sandbox.destination, "urls")), urls);
    // Nor does the driver decode them when it reads malformed lines again for the record.
    let lenient = [&DAY[..], &["titles", "--max-rejects", "1"]].concat();
    sandbox.run_on(&cluster.url, &lenient).exited_with(0);
    let published = check_published(&sandbox.destination);
    let rejected = |table: &str| &published[table][0]["sources"][0]["rows_rejected"];
    assert_eq!(
        (rejected("urls"), rejected("titles")),
        (&json!(0), &json!(1))
    );
}

fn names_of_concurrent_writers_are_never_reused(destination: TestDestination) {
    let sandbox = world(destination);
    for id in [151, 152, 153] {
        let file = format!("raw/views/date=2026-01-15/{id}.json.gz");
        sandbox.write(&file, gzip(&format!("{}\n", received(id))));
    }
    let cluster = Cluster::start(&sandbox, 2);
    // With files this small, no partition is too small for a writer of its own.
    let small = ["--task-size", "1", "--target-file-size", "1KiB"];
    let args = [&DAY[..], &["views", "--rerun"], &small].concat();
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..2 {
        sandbox.run_on(&cluster.url, &args).succeeded();
        check_published(&sandbox.destination);
        let names = sandbox.destination.keys_below("data/views/");
        assert!(names.len() > 1, "{names:?}");
        assert!(names.iter().all(|name| !seen.contains(name)), "{names:?}");
        seen.extend(names);
    }
    // A run on one machine continues the numbers of the cluster and reuses the names of replaced files.
    set_views(&sandbox, 15, &[received(154)]);
    let args = [&DAY[..], &["views", "--rerun", "--allow-shrink"]].concat();
    sandbox.run(&args).succeeded();
    check_published(&sandbox.destination);
    let names = sandbox.destination.keys_below("data/views/");
    assert_eq!(names.len(), 1);
    assert!(seen.contains(&names[0]), "{names:?}");
}
