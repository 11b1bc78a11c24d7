//! Gzip as a sequence of members (RFC 1952 §2.2), each compressed on its own, so that the blocks of
//! a file can be compressed side by side. Members have neither name nor time: equal blocks give
//! equal bytes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libdeflater::{CompressionLvl, Compressor};
use parking_lot::Mutex;

use crate::encode::deflate::Deflater;
use crate::error::{Error, Result};

/// From 1, the least compressed, to 12, the smallest. They are those of libdeflate but for
/// [`GzipLevel::default`], which is as small as its level 4 and faster than all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GzipLevel {
    number: u8,
    level: CompressionLvl,
}

impl GzipLevel {
    pub const RANGE: std::ops::RangeInclusive<u8> = 1..=12;

    /// That of [`Deflater`].
    const OWN: u8 = 4;

    /// `None` if there is no such level.
    pub fn new(level: u8) -> Option<Self> {
        let known = Self::RANGE.contains(&level);
        let number = level;
        let level = CompressionLvl::new(i32::from(number)).ok();
        level.filter(|_| known).map(|level| Self { number, level })
    }

    /// The inverse of [`GzipLevel::new`].
    pub fn number(self) -> u8 {
        self.number
    }
}

impl Default for GzipLevel {
    fn default() -> Self {
        Self {
            number: Self::OWN,
            level: CompressionLvl::new(i32::from(Self::OWN)).unwrap_or_default(),
        }
    }
}

/// A level and the compressors at work at it. Clones share the compressors: there are as many as
/// are ever at work at once, however many files are open.
#[derive(Clone)]
pub struct Gzip {
    level: GzipLevel,
    idle: Arc<Mutex<Vec<Idle>>>,
}

/// A compressor between two blocks; it takes about 1 MiB, which is not worth allocating each time.
struct Idle {
    compressor: AnyCompressor,
    /// Where it writes; as large as the largest block needs.
    written: Vec<u8>,
}

enum AnyCompressor {
    Own(Deflater),
    Libdeflate(Compressor),
}

impl Idle {
    fn new(level: GzipLevel) -> Self {
        let compressor = match level.number {
            GzipLevel::OWN => AnyCompressor::Own(Deflater::new()),
            _ => AnyCompressor::Libdeflate(Compressor::new(level.level)),
        };
        Self {
            compressor,
            written: Vec::new(),
        }
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        match &mut self.compressor {
            AnyCompressor::Own(deflater) => {
                self.written.clear();
                deflater.gzip(bytes, &mut self.written);
                Ok(self.written.clone())
            }
            AnyCompressor::Libdeflate(compressor) => {
                let most = compressor.gzip_compress_bound(bytes.len());
                if self.written.len() < most {
                    self.written.resize(most, 0);
                }
                let length = compressor.gzip_compress(bytes, &mut self.written);
                let length = length.map_err(|error| {
                    Error::internal("cannot compress a block").with_source(error)
                })?;
                Ok(self.written.get(..length).unwrap_or_default().to_vec())
            }
        }
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gzip").field(&self.level).finish()
    }
}

impl Gzip {
    pub fn new(level: GzipLevel) -> Self {
        Self {
            level,
            idle: Arc::default(),
        }
    }

    pub fn level(&self) -> GzipLevel {
        self.level
    }

    /// One whole member.
    pub fn compress(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let idle = || self.idle.lock();
        let reused = idle().pop();
        let mut at_work = reused.unwrap_or_else(|| Idle::new(self.level));
        let member = at_work.compress(bytes)?;
        idle().push(at_work);
        Ok(member)
    }
}

/// Counts what all blocks of a file hold, in bytes, as long as they are not in the file.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn hold(&self, bytes: usize) -> Held {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Held {
            gauge: self.clone(),
            bytes,
        }
    }
}

#[derive(Debug)]
struct Held {
    gauge: Gauge,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of a file that are ready to be compressed, on any thread.
#[derive(Debug)]
pub struct Block {
    gzip: Gzip,
    bytes: Vec<u8>,
    held: Held,
}

impl Block {
    pub fn new(gzip: &Gzip, bytes: Vec<u8>, gauge: &Gauge) -> Self {
        let held = gauge.hold(bytes.capacity());
        Self {
            gzip: gzip.clone(),
            bytes,
            held,
        }
    }

    /// Bytes to be compressed.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Compresses; takes about 3 ms of a processor for each MiB at the default level.
    pub fn compress(self) -> Result<Member> {
        let bytes = self.gzip.compress(&self.bytes)?;
        let held = self.held.gauge.hold(bytes.capacity());
        Ok(Member {
            bytes,
            uncompressed: self.bytes.len(),
            _held: held,
        })
    }
}

/// A compressed block. Those of a file belong into it in the order their blocks had.
#[derive(Debug)]
pub struct Member {
    bytes: Vec<u8>,
    uncompressed: usize,
    _held: Held,
}

impl Member {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The size of its block, in bytes.
    pub fn uncompressed(&self) -> usize {
        self.uncompressed
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut inflated = Vec::new();
        MultiGzDecoder::new(bytes)
            .read_to_end(&mut inflated)
            .unwrap();
        inflated
    }

    #[test]
    fn all_levels_can_be_read_and_there_are_no_others() {
        let text = "a line of text\n".repeat(10_000);
        for level in GzipLevel::RANGE {
            let gzip = Gzip::new(GzipLevel::new(level).unwrap());
            let member = gzip.compress(text.as_bytes()).unwrap();
            assert!(member.len() < text.len() / 20, "level {level}");
            assert_eq!(inflate(&member), text.as_bytes());
        }
        assert_eq!([0, 13, 255].map(GzipLevel::new), [None; 3]);
    }

    #[test]
    fn a_compressor_is_reused_for_blocks_of_any_size() {
        let gzip = Gzip::new(GzipLevel::default());
        for size in [0, 1, 100_000, 3, 5_000_000, 0] {
            let bytes: Vec<u8> = (0..size)
                .map(|n: u32| (n.wrapping_mul(n) / 7) as u8)
                .collect();
            assert_eq!(inflate(&gzip.compress(&bytes).unwrap()), bytes);
        }
        assert_eq!(gzip.clone().idle.lock().len(), 1);
    }

    #[test]
    fn what_blocks_hold_is_counted_until_they_are_gone() {
        let (gzip, gauge) = (Gzip::new(GzipLevel::default()), Gauge::default());
        let block = Block::new(&gzip, vec![b'x'; 100_000], &gauge);
        assert_eq!(gauge.bytes(), 100_000);
        let member = block.compress().unwrap();
        assert_eq!(gauge.bytes(), member.bytes().len());
        drop(member);
        assert_eq!(gauge.bytes(), 0);
    }
}
