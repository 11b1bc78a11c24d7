use std::process::ExitCode;

/// Batches, pages and files come and go on all threads: the system's allocator would be a sixth of
/// the work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(dayport::cli::main().await.code())
}
