use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Buffers of megabytes come and go with every batch: they are kept at hand, where jemalloc alone
/// would give them back to the system at once, and with one arena for each processor there are few
/// places that keep them. The name is that of its manual, prefixed.
#[cfg(feature = "jemalloc")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8] = b"oversize_threshold:0,percpu_arena:percpu,tcache_max:1048576\0";

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(dayport::cli::main().await.code())
}
