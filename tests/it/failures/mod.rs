//! What must go wrong goes wrong with a clear word, the right exit code, and nothing published.

mod arguments;
mod credentials;
mod data;
mod definitions;
mod hidden;
mod stores;

use crate::support::{Place, Ran, Sandbox, check_published};
use crate::world::world;

/// The small world, with 2026-01-14 published.
fn one_day_published(place: Place) -> Sandbox {
    let sandbox = world(place);
    sandbox.run(&["--date", "2026-01-14"]).succeeded();
    sandbox
}

/// `dayport run --date 2026-01-15` and these arguments, which leaves the destination as it was:
/// no data, no manifest, no log entry, no unfinished upload.
fn run_without_effect(sandbox: &Sandbox, args: &[&str]) -> Ran {
    without_effect(sandbox, || {
        sandbox.run(&[&["--date", "2026-01-15"], args].concat())
    })
}

fn without_effect(sandbox: &Sandbox, run: impl FnOnce() -> Ran) -> Ran {
    let before = sandbox.place.contents();
    let ran = run();
    assert_eq!(sandbox.place.contents(), before, "after\n{ran}");
    assert_eq!(
        sandbox.place.leftovers(),
        Vec::<String>::new(),
        "after\n{ran}"
    );
    check_published(&sandbox.place);
    ran
}
