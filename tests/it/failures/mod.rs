//! Failures have a clear message and the right exit code, and publish nothing.

mod answers;
mod arguments;
mod credentials;
mod data;
mod definitions;
mod escapes;
mod hidden;
mod quiet;
mod secrets;
mod settings;
mod stores;
mod tls;
mod values;

use crate::support::{CommandOutput, Sandbox, TestDestination, check_published};
use crate::world::world;

/// Creates the small world, with 2026-01-14 published.
fn one_day_published(destination: TestDestination) -> Sandbox {
    let sandbox = world(destination);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox
}

/// Runs `dayport run --date 2026-01-15` with more arguments, and checks that it leaves the destination
/// unchanged: no data, no manifest, no log entry, no unfinished upload.
fn run_without_effect(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    without_effect(sandbox, || {
        sandbox.run(&[&["--date", "2026-01-15"], args].concat())
    })
}

pub(crate) fn without_effect(
    sandbox: &Sandbox,
    run: impl FnOnce() -> CommandOutput,
) -> CommandOutput {
    let before = sandbox.destination.contents();
    let output = run();
    assert_eq!(sandbox.destination.contents(), before, "after\n{output}");
    assert_eq!(
        sandbox.destination.leftovers(),
        Vec::<String>::new(),
        "after\n{output}"
    );
    check_published(&sandbox.destination);
    output
}
