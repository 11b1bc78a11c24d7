//! The program `dayport`: passes the arguments to [`dayport::cli`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(dayport::cli::main().await.code())
}
