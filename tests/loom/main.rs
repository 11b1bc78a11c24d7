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

/// The first argument of a process that runs a model which must hang.
const HANGING: &str = "hanging-model";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(HANGING) {
        let name = words.next().expect("the name of a model");
        let model = MODELS.iter().find(|model| model.name == name);
        model.expect("a model of this name").explore();
        return ExitCode::SUCCESS;
    }
    let trials = MODELS.iter().map(|model| {
        Trial::test(model.name, move || {
            if model.hangs {
                return expect_hang(model);
            }
            model.explore();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Explores a model in a process of its own and expects it to fail: loom panics while threads hold locks,
/// and those panic again as they are dropped.
fn expect_hang(model: &Model) -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).args([HANGING, model.name]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    // A thread looks for ever whether its buffer has returned, or all threads wait for each other.
    let is_found = stderr.contains("maximum number of branches") || stderr.contains("deadlock");
    match is_found && !output.status.success() {
        true => Ok(()),
        false => Err(format!("no hang was found: {}\n{stderr}", output.status).into()),
    }
}
