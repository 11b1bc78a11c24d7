//! Models of the waits of threads: loom runs every order of the steps of their threads.
//!
//! ```text
//! chunker thread: take the buffer, or a permit ─pieces→ channel ─→ decoder, which may go at any time
//! ```
//! The buffer and the gate are the files of `src`, and the channel is tokio's. What loom has to know of is
//! replaced: the locks ([`sync`]), and each step of the channel is announced to it ([`channel`]).
//!
//! This is a test of its own because its locks are those of loom, for the files of `src`, too.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod channel;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the models use a part of the file, which is public in its crate"
)]
#[path = "../../src/jsonl/inflate_buffer.rs"]
mod inflate_buffer;
#[allow(
    dead_code,
    unused_imports,
    reason = "the models use a part of the file, and none of its unit tests"
)]
#[path = "../../src/memory_gate.rs"]
mod memory_gate;
mod models;
mod sync;

/// The files of `src` take their locks from here.
extern crate self as parking_lot;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

pub(crate) use models::{MODELS, Model};
pub use sync::{Condvar, Mutex};

/// The first argument of a process that explores one model.
const EXPLORE: &str = "explore-model";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(EXPLORE) {
        let name = words.next().expect("the name of a model");
        let model = MODELS.iter().find(|model| model.name == name);
        model.expect("a model of this name").explore();
        return ExitCode::SUCCESS;
    }
    let trials = MODELS
        .iter()
        .map(|model| Trial::test(model.name, move || check(model)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Explores a model in a process of its own: loom panics while threads hold what they share, and they panic
/// again as they are dropped, which aborts the process.
fn check(model: &Model) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command
        .args([EXPLORE, model.name])
        .env("RUST_BACKTRACE", "0")
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    // A thread looks for ever whether it may go on, or all threads wait for each other.
    let hangs = stderr.contains("maximum number of branches") || stderr.contains("deadlock");
    match (output.status.success(), hangs) {
        (true, _) if !model.hangs => Ok(()),
        (false, true) if model.hangs => Ok(()),
        (true, _) => Err("no order was found in which a thread waits for ever".into()),
        (false, true) => Err(format!("a thread waits for ever\n{stderr}").into()),
        (false, false) => Err(format!("{}\n{stderr}", output.status).into()),
    }
}
