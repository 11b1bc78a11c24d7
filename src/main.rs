use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Buffers of megabytes come and go with every batch: they are kept at hand, where jemalloc alone
/// would give them back to the system at once. The name is that of its manual, prefixed.
#[cfg(feature = "jemalloc")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8] = b"oversize_threshold:0,tcache_max:4194304\0";

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(dayport::cli::main().await.code())
}
