//! Raw data or rows that must not be published: exit code 1, and the table stays unchanged.

use serde_json::json;

use super::{one_day_published, run_without_effect};
use crate::s3::Operation;
use crate::support::{TestDestination, for_each_destination, gzip};
use crate::world::{VIEWS, set_sites, set_views, view};

for_each_destination!(
    a_null_in_a_partition_column_names_the_rows,
    a_malformed_line_names_its_file_and_line,
    a_broken_file_is_named,
    a_missing_source_is_named,
    a_query_that_fails_after_many_rows_leaves_nothing,
);

fn a_null_in_a_partition_column_names_the_rows(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    sandbox.write(
        "sql/views.sql",
        VIEWS.replace("date_part('day', time)", "CAST(nullif(id, 151) AS INT)"),
    );
    set_views(&sandbox, 15, &[view(150, 15), view(151, 15), view(152, 15)]);
    let output = run_without_effect(&sandbox, &["views"]).exited_with(1);
    output
        .stderr_has("views 2026-01-15: ")
        .stderr_has("NULL in partition column `day`")
        .stderr_has("\"id\":151")
        .hint_has("WHERE");
}

fn a_malformed_line_names_its_file_and_line(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    let file = "views/date=2026-01-15/more.json.gz";
    let good = json!({
        "id": 1, "time": "2026-01-15T12:00:00Z", "received": "2026-01-15T12:00:00Z",
    });
    for (bad, why) in [
        ("{\"id\":2,", "does not end on its line"),
        ("{\"id\":2x}", "not valid JSON"),
        ("[1, 2]", "a JSON object is expected"),
        ("{\"id\":\"two\"}", "field `id`"),
        (
            "{\"id\":2,\"time\":\"2026-01-15T12:00:00Z\"}",
            "required field `received`",
        ),
    ] {
        let text = format!("{good}\n\n{good}\n{bad}\n{good}\n");
        sandbox.write(&format!("raw/{file}"), gzip(&text));
        let output = run_without_effect(&sandbox, &["views", "--max-rejects", "0"]).exited_with(1);
        output
            .stderr_has("views 2026-01-15: ")
            .stderr_has(&format!("{file}` line 4: "))
            .stderr_has(why);
    }
}

fn a_broken_file_is_named(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    let whole = gzip(&format!("{}\n", view(1, 15)).repeat(100));
    let file = "views/date=2026-01-15/broken.json.gz";
    for broken in [&whole[..whole.len() / 2], b"not gzip at all\n"] {
        sandbox.write(&format!("raw/{file}"), broken.to_vec());
        let output = run_without_effect(&sandbox, &["views"]).exited_with(1);
        output.stderr_has("views 2026-01-15: ").stderr_has(file);
    }
}

fn a_missing_source_is_named(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    sandbox.remove("raw/sites/sites.json");
    let output = run_without_effect(&sandbox, &["sites"]).exited_with(75);
    output
        .stderr_has("source `sites`")
        .stderr_has("raw/sites/")
        .hint_has("--from");
}

/// Fails at several rows, because the uploads of earlier rows are in different states: some are
/// complete, some in progress, some just started.
fn a_query_that_fails_after_many_rows_leaves_nothing(destination: TestDestination) {
    let sandbox = one_day_published(destination);
    set_sites(&sandbox, 100_000);
    for last in [60_000, 70_000, 80_000, 90_000, 99_999] {
        let fails = format!("COPY (SELECT id, name, 1 / ({last} - id) AS x FROM sites) TO 'sites'");
        sandbox.write("sql/sites.sql", fails);
        for format in ["json", "parquet"] {
            // With little memory, batches are small, so that several precede the failure.
            let small = ["--target-file-size", "64KiB", "--memory-limit", "256MiB"];
            let accept = ["--accept-change", "--accept-schema"];
            let args = [&["sites", "--format", format], &accept[..], &small].concat();
            let output = run_without_effect(&sandbox, &args).exited_with(1);
            output
                .stderr_has("sites 2026-01-15: ")
                .stderr_has("ivide by zero");
        }
    }
    if let TestDestination::S3(server) = &sandbox.destination {
        // Otherwise the scenario proves nothing: uploads were started, and all were aborted.
        let started = server.count(Operation::CreateMultipartUpload);
        let aborted = server.count(Operation::AbortMultipartUpload);
        assert!(
            started > 30 && aborted > 30,
            "{started} started, {aborted} aborted"
        );
    }
}
