//! Decompression of whole gzip files by libdeflate, about twice as fast as in a stream.

#![expect(
    unsafe_code,
    reason = "libdeflate-sys is a C interface; no safe crate says where a member of gzip ends"
)]

use std::io;
use std::ptr::NonNull;

use libdeflate_sys as ffi;

/// The minimum size of a gzip member, in bytes: header and trailer (RFC 1952).
const MIN_MEMBER_BYTES: usize = 18;

/// The maximum compression ratio of DEFLATE.
const MAX_RATIO: u64 = 1032;

/// Returns the decompressed size that the trailer of a gzip file states for its last member.
///
/// This is the size of the whole text if the file has one member that is shorter than 4 GiB. Returns
/// `None` if the file is not gzip, or if so much text cannot be in so few bytes.
pub fn inflated_size(compressed: &[u8]) -> Option<usize> {
    if compressed.len() < MIN_MEMBER_BYTES || !compressed.starts_with(&[0x1f, 0x8b]) {
        return None;
    }
    let trailer: [u8; 4] = *compressed.last_chunk()?;
    let size = u32::from_le_bytes(trailer);
    (u64::from(size) <= compressed.len() as u64 * MAX_RATIO).then_some(size as usize)
}

/// A libdeflate decompressor. Allocate it once and reuse it for many files.
pub struct Inflater {
    decompressor: NonNull<ffi::libdeflate_decompressor>,
}

// SAFETY: the decompressor is plain memory that only its owner points to.
unsafe impl Send for Inflater {}

impl Inflater {
    /// Allocates a decompressor.
    ///
    /// # Errors
    /// Returns [`io::ErrorKind::OutOfMemory`] if the allocation fails.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no arguments; a null pointer means that memory is exhausted.
        let decompressor = unsafe { ffi::libdeflate_alloc_decompressor() };
        Ok(Self {
            decompressor: NonNull::new(decompressor).ok_or(io::ErrorKind::OutOfMemory)?,
        })
    }

    /// Decompresses all members of a gzip file into `text`, up to `max_bytes` within its capacity.
    /// Zero bytes behind a member are skipped.
    ///
    /// Returns false if the data is corrupt, truncated or does not fit. The caller then decompresses
    /// it in a stream, which reports the error.
    pub fn gzip(&mut self, compressed: &[u8], text: &mut Vec<u8>, max_bytes: usize) -> bool {
        let mut rest = compressed;
        while !rest.is_empty() {
            let remaining = max_bytes.saturating_sub(text.len());
            let spare = text.spare_capacity_mut();
            let length = spare.len().min(remaining);
            let output = &mut spare[..length];
            let (mut read, mut written) = (0, 0);
            // SAFETY: both buffers are valid for the lengths passed with them, the out parameters
            // are valid pointers, and the decompressor is borrowed exclusively.
            let result = unsafe {
                ffi::libdeflate_gzip_decompress_ex(
                    self.decompressor.as_ptr(),
                    rest.as_ptr().cast(),
                    rest.len(),
                    output.as_mut_ptr().cast(),
                    output.len(),
                    &raw mut read,
                    &raw mut written,
                )
            };
            if result != ffi::libdeflate_result_LIBDEFLATE_SUCCESS || read == 0 {
                return false;
            }
            // SAFETY: libdeflate has initialized this many bytes of the spare capacity.
            unsafe { text.set_len(text.len() + written) };
            rest = rest.get(read..).unwrap_or_default();
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            rest = rest.get(zeros..).unwrap_or_default();
        }
        true
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed once.
        unsafe { ffi::libdeflate_free_decompressor(self.decompressor.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(stored: &[u8], capacity: usize) -> Option<Vec<u8>> {
        // The buffer may be larger than what may be written.
        let mut text = Vec::with_capacity(2 * capacity);
        let is_whole = Inflater::new().unwrap().gzip(stored, &mut text, capacity);
        is_whole.then_some(text)
    }

    #[test]
    fn the_trailer_states_the_length_of_one_member() {
        let text = "a line of text\n".repeat(1000);
        let stored = gzip(&text);
        let size = inflated_size(&stored).unwrap();
        assert_eq!(size, text.len());
        assert_eq!(inflate(&stored, size).unwrap(), text.as_bytes());
        assert_eq!(inflated_size(b"{}"), None);
        assert_eq!(inflated_size(&[0; 30]), None);
        let mut lying = stored;
        lying.truncate(30);
        lying.extend([255; 4]);
        assert_eq!(inflated_size(&lying), None);
    }

    #[test]
    fn all_members_are_read_or_none() {
        let members = [gzip("same"), gzip("size")].concat();
        assert_eq!(inflate(&members, 100).unwrap(), b"samesize");
        // The trailer states the length of the last member only: the whole text does not fit.
        assert_eq!(inflate(&members, inflated_size(&members).unwrap()), None);
    }

    #[test]
    fn zeros_behind_members_are_skipped() {
        let padded = [&gzip("one")[..], &[0; 9], &gzip("two"), &[0; 513]].concat();
        assert_eq!(inflate(&padded, 100).unwrap(), b"onetwo");
    }

    #[test]
    fn damaged_data_is_not_inflated() {
        let stored = gzip(&"a line of text\n".repeat(1000));
        for length in 1..stored.len() {
            assert_eq!(inflate(&stored[..length], 1 << 16), None, "{length}");
        }
        let trailing = [gzip("one"), b"rest".to_vec()].concat();
        assert_eq!(inflate(&trailing, 1 << 16), None);
    }
}
