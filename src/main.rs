//! The program `dayport`: passes the arguments to [`dayport::cli`].

use std::process::ExitCode;
use std::time::Duration;

/// The time that the end waits for threads which are blocked, by a lookup of a name for example: they end
/// with the process.
const LAST_THREADS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::from(75);
        }
    };
    let code = runtime.block_on(dayport::cli::main()).code();
    runtime.shutdown_timeout(LAST_THREADS);
    ExitCode::from(code)
}
