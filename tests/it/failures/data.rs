//! Raw data or rows that must not be published: exit code 1, and the table stays as it was.

use serde_json::json;

use super::{one_day_published, run_without_effect};
use crate::s3::Operation;
use crate::support::{Place, gzip, in_both_places};
use crate::world::{VIEWS, set_sites, set_views, view};

in_both_places!(
    a_null_in_a_partition_column_names_the_rows,
    a_malformed_line_names_its_file_and_line,
    a_broken_file_is_named,
    a_source_that_is_not_there_is_named,
    a_query_that_fails_after_many_rows_leaves_nothing,
);

fn a_null_in_a_partition_column_names_the_rows(place: Place) {
    let sandbox = one_day_published(place);
    sandbox.write(
        "sql/views.sql",
        VIEWS.replace("date_part('day', time)", "nullif(id, 151)"),
    );
    set_views(&sandbox, 15, &[view(150, 15), view(151, 15), view(152, 15)]);
    let ran = run_without_effect(&sandbox, &["views"]).ended(1);
    ran.complains("views 2026-01-15: ")
        .complains("NULL in partition column `day`")
        .complains("\"id\":151")
        .hints("WHERE");
}

fn a_malformed_line_names_its_file_and_line(place: Place) {
    let sandbox = one_day_published(place);
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
        let ran = run_without_effect(&sandbox, &["views", "--max-rejects", "0"]).ended(1);
        ran.complains("views 2026-01-15: ")
            .complains(&format!("{file}` line 4: "))
            .complains(why);
    }
}

fn a_broken_file_is_named(place: Place) {
    let sandbox = one_day_published(place);
    let whole = gzip(&format!("{}\n", view(1, 15)).repeat(100));
    let file = "views/date=2026-01-15/broken.json.gz";
    for broken in [&whole[..whole.len() / 2], b"not gzip at all\n"] {
        sandbox.write(&format!("raw/{file}"), broken.to_vec());
        let ran = run_without_effect(&sandbox, &["views"]).ended(1);
        ran.complains("views 2026-01-15: ").complains(file);
    }
}

fn a_source_that_is_not_there_is_named(place: Place) {
    let sandbox = one_day_published(place);
    sandbox.remove("raw/sites/sites.json");
    let ran = run_without_effect(&sandbox, &["sites"]).ended(1);
    ran.complains("source `sites`")
        .complains("raw/sites/")
        .hints("--from");
}

/// At several rows, because it matters what the uploads of earlier rows are at: some are done, some
/// under way, some are only beginning.
fn a_query_that_fails_after_many_rows_leaves_nothing(place: Place) {
    let sandbox = one_day_published(place);
    set_sites(&sandbox, 100_000);
    for last in [60_000, 70_000, 80_000, 90_000, 99_999] {
        let fails = format!("COPY (SELECT id, name, 1 / ({last} - id) AS x FROM sites) TO 'sites'");
        sandbox.write("sql/sites.sql", fails);
        for format in ["json", "parquet"] {
            // With little memory batches are small, so that there are some before it fails.
            let small = ["--target-file-size", "64KiB", "--memory-limit", "256MiB"];
            let args = [&["sites", "--format", format], small.as_slice()].concat();
            let ran = run_without_effect(&sandbox, &args).ended(1);
            ran.complains("sites 2026-01-15: ")
                .complains("ivide by zero");
        }
    }
    if let Place::S3(server) = &sandbox.place {
        // Else the scenario shows nothing: it had begun to upload, and took everything back.
        let begun = server.count(Operation::CreateMultipartUpload);
        let aborted = server.count(Operation::AbortMultipartUpload);
        assert!(
            begun > 30 && aborted > 30,
            "{begun} begun, {aborted} aborted"
        );
    }
}
