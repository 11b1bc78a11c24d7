//! One day of the fixtures, exported for each place in each format.

mod blocks;
mod day;
mod dialect;
mod expected;
mod options;
mod parquet;
mod sources;

use crate::support::{Place, SECOND_DAY, Sandbox};

/// The fixtures' second day, exported in a format.
fn exported(place: Place, format: &str) -> Sandbox {
    let sandbox = Sandbox::fixtures(place);
    let ran = sandbox.run(&["--date", SECOND_DAY, "--format", format]);
    ran.succeeded();
    sandbox
}
