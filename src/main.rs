//! The program `dayport`: passes the arguments to [`dayport::cli`].

use std::process::ExitCode;
use std::time::Duration;

/// The time that the end waits for threads which are blocked, by a lookup of a name for example: they end
/// with the process.
const LAST_THREADS: Duration = Duration::from_millis(200);

fn main() -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let code = runtime.block_on(dayport::cli::main()).code();
    runtime.shutdown_timeout(LAST_THREADS);
    Ok(ExitCode::from(code))
}
