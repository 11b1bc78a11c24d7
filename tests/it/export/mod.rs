//! One day of the fixtures, exported to each destination in each format.

mod blocks;
mod compression;
mod day;
mod dialect;
mod expected;
mod options;
mod parquet;
mod sources;

use crate::support::{SECOND_DAY, Sandbox, TestDestination};

/// Exports the second day of the fixtures.
fn exported(destination: TestDestination, format: &str) -> Sandbox {
    let sandbox = Sandbox::fixtures(destination);
    let output = sandbox.run(&["--date", SECOND_DAY, "--format", format]);
    output.succeeded();
    sandbox
}
