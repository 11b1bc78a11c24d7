//! Past one machine: the same definitions and the same commit, on a scheduler and executors that are
//! processes of their own.

mod failure;
mod processes;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    Place, Sandbox, check_published, check_tidy, current_manifests, decode, gzip, in_both_places,
    rows, sorted,
};
use crate::world::{set_views, view, world};
use processes::Cluster;

/// So small that the events of a day are several tasks, and those of a task not few.
const TASK_SIZE: [&str; 4] = ["--task-size", "100KiB", "--target-file-size", "1MiB"];

const DAY: [&str; 2] = ["--date", "2026-01-15"];

/// Partitions that the tasks of the scan share, and one row for many events.
const COUNTS: &str = "COPY (
  SELECT name, date_part('hour', time) AS hour, count(*) AS events FROM events
  WHERE time >= $window_start AND time < $window_end GROUP BY name, date_part('hour', time)
) TO 'counts' PARTITIONED BY (name)";

/// The whole comes together before it is written, in order.
const ORDERED: &str = "COPY (
  SELECT time, event_id, name FROM events
  WHERE time >= $window_start AND time < $window_end ORDER BY time DESC, event_id
) TO 'ordered' STORED AS JSON";

/// Rows of two scans meet.
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

in_both_places!(
    one_two_and_three_executors_give_the_rows_of_one_machine,
    rows_of_parquet_are_the_same_and_counted,
    a_malformed_line_in_a_task_names_its_file_and_line,
    malformed_lines_of_tasks_are_on_record,
    tasks_do_not_look_at_leaves_that_no_query_uses,
    names_of_writers_side_by_side_are_never_used_again,
    a_snapshot_without_rows_is_one_empty_file,
);

/// The rows of each partition of each table, in an order of their own.
fn partitions(place: &Place) -> BTreeMap<String, Vec<Value>> {
    let mut partitions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (table, manifests) in current_manifests(place) {
        for manifest in manifests {
            for file in manifest["files"].as_array().expect("a list of files") {
                let path = file["path"].as_str().expect("a path");
                let partition = format!("{table} {}", file["partition"]);
                let rows = partitions.entry(partition).or_default();
                rows.extend(decode(path, &place.read(path)));
            }
        }
    }
    let sorted_rows = |(partition, rows)| (partition, sorted(rows));
    partitions.into_iter().map(sorted_rows).collect()
}

/// What the manifests say of the sources.
fn sources(place: &Place) -> BTreeMap<String, Value> {
    let manifests = current_manifests(place).into_iter();
    let of_table = |(table, mut manifests): (String, Vec<Value>)| {
        let mut newest = manifests.pop().expect("a manifest");
        let sources = newest["sources"].as_array_mut().expect("a list");
        for source in sources {
            // Of names that begin with the sandbox.
            source.as_object_mut().expect("an object").remove("digest");
        }
        (table, newest["sources"].take())
    };
    manifests.map(of_table).collect()
}

/// How many files each table has.
fn files(place: &Place) -> BTreeMap<String, usize> {
    let manifests = current_manifests(place).into_iter();
    let of_table = |(table, mut manifests): (String, Vec<Value>)| {
        let newest = manifests.pop().expect("a manifest");
        let files = newest["files"].as_array().expect("a list of files");
        (table, files.len())
    };
    manifests.map(of_table).collect()
}

fn one_two_and_three_executors_give_the_rows_of_one_machine(place: Place) {
    let on_one = Sandbox::fixtures(Place::local());
    for (path, text) in OWN {
        on_one.write(path, text);
    }
    on_one.run(&DAY).succeeded();
    let (expected, read) = (partitions(&on_one.place), sources(&on_one.place));
    assert!(expected.len() >= 9, "{} partitions", expected.len());

    let sandbox = Sandbox::fixtures(place);
    for (path, text) in OWN {
        sandbox.write(path, text);
    }
    let mut cluster = Cluster::start(&sandbox, 1);
    for executors in 1..=3 {
        cluster.add(&sandbox, executors - cluster.executors.len());
        let args = [&DAY[..], &TASK_SIZE, &["--rerun"]].concat();
        sandbox.run_on(&cluster.url, &args).succeeded();
        check_published(&sandbox.place);
        assert_eq!(
            partitions(&sandbox.place),
            expected,
            "{executors} executors"
        );
        assert_eq!(sources(&sandbox.place), read, "{executors} executors");
        let files = files(&sandbox.place);
        assert_eq!(files["pageview_events"], 6, "one for each task");
        assert_eq!(files["slotclicked_events"], 1, "few rows are gathered");
        // An aggregate of much is little: again one file for each partition.
        let counted = expected.keys().filter(|key| key.starts_with("counts "));
        assert_eq!(files["counts"], counted.count());
        assert_eq!(files["ordered"], 1);
        assert_eq!(
            rows(&sandbox.place, "ordered"),
            rows(&on_one.place, "ordered")
        );
    }
    // Little data is one file a partition, however many executors there are.
    let little = [&DAY[..], &["--rerun", "pageview_events", "domains"]].concat();
    sandbox.run_on(&cluster.url, &little).succeeded();
    check_published(&sandbox.place);
    assert_eq!(partitions(&sandbox.place), expected);
    assert_eq!(files(&sandbox.place)["pageview_events"], 1);
}

/// A view of the day that was received on it.
fn received(id: u64) -> Value {
    let mut view = view(id, 15);
    view["received"] = json!("2026-01-15T13:00:00Z");
    view
}

fn a_snapshot_without_rows_is_one_empty_file(place: Place) {
    let sandbox = world(place);
    sandbox.write("raw/sites/more.json", "{\"id\": 7}\n");
    let none = "COPY (SELECT id, name FROM sites WHERE id < 0) TO 'sites'";
    sandbox.write("sql/sites.sql", none);
    let cluster = Cluster::start(&sandbox, 1);
    let args = [&DAY[..], &["sites", "--task-size", "1"]].concat();
    sandbox.run_on(&cluster.url, &args).succeeded();
    let published = check_published(&sandbox.place);
    assert_eq!(published["sites"][0]["sources"][0]["rows_read"], 3);
    assert_eq!(files(&sandbox.place)["sites"], 1);
    assert_eq!(rows(&sandbox.place, "sites"), Vec::<Value>::new());
}

/// Two good lines in one file, one good line and two bad ones in another.
fn spoiled(place: Place) -> Sandbox {
    let sandbox = world(place);
    set_views(&sandbox, 15, &[received(3), received(4)]);
    let good = received(1);
    let text = format!("{good}\n{{\"id\": 2\n\n{{\"id\": \"four\"}}\n");
    sandbox.write("raw/views/date=2026-01-15/more.json.gz", gzip(&text));
    for day in [11, 12, 13, 14, 16] {
        sandbox.remove(&format!("raw/views/date=2026-01-{day}/views.json"));
    }
    sandbox
}

fn a_malformed_line_in_a_task_names_its_file_and_line(place: Place) {
    let sandbox = spoiled(place);
    let cluster = Cluster::start(&sandbox, 1);
    let args = [&DAY[..], &["views", "--max-rejects", "0"]].concat();
    let ran = sandbox.run_on(&cluster.url, &args).ended(1);
    ran.complains("date=2026-01-15/more.json.gz")
        .complains("line 2");
    assert_eq!(current_manifests(&sandbox.place), BTreeMap::new());
    assert_eq!(sandbox.place.keys_below("data/"), Vec::<String>::new());
}

fn rows_of_parquet_are_the_same_and_counted(place: Place) {
    let sources = Sandbox::fixtures(Place::local());
    sources
        .run(&[&DAY[..], &["pageview_events"]].concat())
        .succeeded();
    let parquet = |sandbox: &Sandbox| {
        for name in ["one", "two", "three"] {
            let [file] = &sources.place.keys_below("data/pageview_events/")[..] else {
                panic!("one file");
            };
            let path = format!("raw/views/{name}.parquet");
            sandbox.write(&path, sources.place.read(file));
        }
        sandbox.write("sql/sources/views.sql", PARQUET_VIEWS);
        sandbox.write("sql/views.sql", PARQUET_COPY);
    };
    let on_one = Sandbox::empty(Place::local());
    parquet(&on_one);
    on_one.run(&DAY).succeeded();

    let sandbox = Sandbox::empty(place);
    parquet(&sandbox);
    let cluster = Cluster::start(&sandbox, 2);
    let args = [&DAY[..], &TASK_SIZE].concat();
    sandbox.run_on(&cluster.url, &args).succeeded();
    check_published(&sandbox.place);
    assert_eq!(partitions(&sandbox.place), partitions(&on_one.place));
    assert_eq!(self::sources(&sandbox.place), self::sources(&on_one.place));
    assert!(files(&sandbox.place)["views"] > 1);
}

const PARQUET_VIEWS: &str = "CREATE EXTERNAL TABLE views (
  time TIMESTAMP(6) WITH TIME ZONE, event_id VARCHAR, user_id VARCHAR
) STORED AS PARQUET LOCATION 'views/'";

const PARQUET_COPY: &str = "COPY (
  SELECT time, event_id, user_id FROM views
  WHERE time >= $window_start AND time < $window_end AND user_id IS NOT NULL
) TO 'views'";

fn malformed_lines_of_tasks_are_on_record(place: Place) {
    let sandbox = spoiled(place);
    let cluster = Cluster::start(&sandbox, 2);
    let args = [&DAY[..], &["views", "--task-size", "1"]].concat();

    // Known only when all are counted: what came back by then is given up.
    let strict = [&args[..], &["--max-rejects", "1"]].concat();
    let ran = sandbox.run_on(&cluster.url, &strict).ended(1);
    ran.complains("2 of 5 lines").complains("line 2");
    assert_eq!(current_manifests(&sandbox.place), BTreeMap::new());
    check_tidy(&sandbox.place);

    let lenient = [&args[..], &["--max-rejects", "2"]].concat();
    sandbox.run_on(&cluster.url, &lenient).ended(0);
    // Holds the record against the count.
    let published = check_published(&sandbox.place);
    let source = &published["views"][0]["sources"][0];
    assert_eq!(source["rows_rejected"], 2);
    let record = &published["views"][0]["rejects"][0];
    let path = record["path"].as_str().expect("a path");
    let lines = decode(path, &sandbox.place.read(path));
    let numbers: Vec<&Value> = lines.iter().map(|line| &line["line"]).collect();
    assert_eq!(numbers, [2, 4]);
}

fn tasks_do_not_look_at_leaves_that_no_query_uses(place: Place) {
    let sandbox = Sandbox::empty(place);
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
    let ran = sandbox.run_on(&cluster.url, &strict).ended(1);
    ran.complains("line 1: field `page.title`");
    let urls = [json!({"id": 1, "url": "a"}), json!({"id": 2, "url": "b"})];
    assert_eq!(sorted(rows(&sandbox.place, "urls")), urls);
    // Nor does the driver, which reads malformed lines once more to put them on record.
    let lenient = [&DAY[..], &["titles", "--max-rejects", "1"]].concat();
    sandbox.run_on(&cluster.url, &lenient).ended(0);
    let published = check_published(&sandbox.place);
    let rejected = |table: &str| &published[table][0]["sources"][0]["rows_rejected"];
    assert_eq!(
        (rejected("urls"), rejected("titles")),
        (&json!(0), &json!(1))
    );
}

fn names_of_writers_side_by_side_are_never_used_again(place: Place) {
    let sandbox = world(place);
    for id in [151, 152, 153] {
        let file = format!("raw/views/date=2026-01-15/{id}.json.gz");
        sandbox.write(&file, gzip(&format!("{}\n", received(id))));
    }
    let cluster = Cluster::start(&sandbox, 2);
    // No row is few where files are so small.
    let small = ["--task-size", "1", "--target-file-size", "1KiB"];
    let args = [&DAY[..], &["views", "--rerun"], &small].concat();
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..2 {
        sandbox.run_on(&cluster.url, &args).succeeded();
        check_published(&sandbox.place);
        let names = sandbox.place.keys_below("data/views/");
        assert!(names.len() > 1, "{names:?}");
        assert!(names.iter().all(|name| !seen.contains(name)), "{names:?}");
        seen.extend(names);
    }
    // One machine goes on where the cluster ended, and takes over the names of what it replaces.
    set_views(&sandbox, 15, &[received(154)]);
    let args = [&DAY[..], &["views", "--rerun", "--allow-shrink"]].concat();
    sandbox.run(&args).succeeded();
    check_published(&sandbox.place);
    let names = sandbox.place.keys_below("data/views/");
    assert_eq!(names.len(), 1);
    assert!(seen.contains(&names[0]), "{names:?}");
}
