//! The resident memory of this process: what it has, and what of it can be given back.
//!
//! An allocator keeps what was freed for the next allocation. That is fast, and the reason why a process
//! holds more than its accounts say. While it has more than its limit, the free memory is given back.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The minimum of the bytes that go through the process between two looks at its memory: a look with
/// something to give back takes some milliseconds.
const LOOK_EVERY_BYTES: usize = 16 << 20;

/// The same as a share of the limit, as a divisor.
const LOOK_EVERY_SHARE: usize = 16;

/// The bytes that went through since the last look.
static PASSED: AtomicUsize = AtomicUsize::new(0);

/// The maximum number of the allocator's arenas for each processor. The C library makes eight: each keeps free
/// memory that no other thread gets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_PER_PROCESSOR: usize = 2;

/// Limits the number of the allocator's arenas. To be called before most threads allocate; an allocator other
/// than that of the C library ignores it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a function of the allocator")]
pub(crate) fn limit_arenas(processors: usize) {
    let arenas = processors.saturating_mul(ARENAS_PER_PROCESSOR);
    let arenas = libc::c_int::try_from(arenas).unwrap_or(libc::c_int::MAX);
    // SAFETY: two numbers, and every thread may call it at any time.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}

/// Other allocators have no such limit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn limit_arenas(_processors: usize) {}

/// Notes that `bytes` go through the process. Now and then it looks at the resident memory: if that is more
/// than `limit`, in bytes, the allocator gives back what is free.
///
/// Returns the resident memory that is left, if there was a look and it was more than `limit`.
pub(crate) fn note_passed(bytes: usize, limit: usize) -> Option<usize> {
    let passed = PASSED
        .fetch_add(bytes, Ordering::Relaxed)
        .saturating_add(bytes);
    if passed < LOOK_EVERY_BYTES.max(limit / LOOK_EVERY_SHARE) {
        return None;
    }
    PASSED.store(0, Ordering::Relaxed);
    if resident_bytes()? <= limit {
        return None;
    }
    give_back();
    resident_bytes().filter(|resident| *resident > limit)
}

/// Returns the resident memory of this process in bytes, without the pages of files. Known on Linux only.
pub(crate) fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Gives back what the allocator has of free memory: that of the C library, or tcmalloc in its place.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "functions of the allocator")]
fn give_back() {
    // SAFETY: the name ends with a zero.
    let release = unsafe {
        libc::dlsym(
            libc::RTLD_DEFAULT,
            c"MallocExtension_ReleaseFreeMemory".as_ptr(),
        )
    };
    if release.is_null() {
        // SAFETY: no arguments but a number, and every thread may call it at any time.
        unsafe { libc::malloc_trim(0) };
        return;
    }
    // SAFETY: this is tcmalloc's function, which has no arguments and no result, and which every thread may
    // call at any time (gperftools/malloc_extension_c.h).
    let release = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(release) };
    release();
}

/// Other allocators decide by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_resident_memory_grows_with_what_is_written() {
        const BYTES: usize = 64 << 20;
        let before = resident_bytes().unwrap();
        let written = vec![1_u8; BYTES];
        let after = resident_bytes().unwrap();
        assert_eq!(written.len(), BYTES);
        assert!(after > before + BYTES / 2, "{before} to {after}");
        drop(written);
        // Other tests have memory, too: nothing can be said about how much is left.
        assert!(note_passed(LOOK_EVERY_BYTES, 0).is_some());
        assert!(note_passed(LOOK_EVERY_BYTES, usize::MAX / 2).is_none());
    }
}
