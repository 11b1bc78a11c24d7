//! Gzip as a sequence of members (RFC 1952 §2.2), each compressed on its own, so that the blocks of
//! a file can be compressed concurrently. Members have neither name nor time: equal blocks have
//! equal bytes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libdeflater::{CompressionError, CompressionLvl, Compressor};
use parking_lot::Mutex;

use super::deflater::Deflater;

/// A compression level from 1, the largest files, to 12, the smallest.
///
/// The levels are those of libdeflate, except [`GzipLevel::default`], which compresses to the size of
/// its level 4 and is faster than all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GzipLevel {
    number: u8,
    level: CompressionLvl,
}

impl GzipLevel {
    /// The numbers of all levels.
    pub const RANGE: std::ops::RangeInclusive<u8> = 1..=12;

    /// The level that [`Deflater`] implements.
    const OWN: u8 = 4;

    /// Returns the level of a number, or `None` if there is no such level.
    pub fn new(number: u8) -> Option<Self> {
        let is_known = Self::RANGE.contains(&number);
        let level = CompressionLvl::new(i32::from(number)).ok()?;
        is_known.then_some(Self { number, level })
    }

    /// Returns the number of the level.
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

/// A pool of gzip compressors of one level.
///
/// Clones share the compressors: there are as many as are ever busy at once, however many files are
/// open.
#[derive(Clone)]
pub struct GzipPool {
    level: GzipLevel,
    idle: Arc<Mutex<Vec<PooledCompressor>>>,
}

/// A compressor with its output buffer; about 1 MiB, which is too much to allocate for each block.
struct PooledCompressor {
    compressor: AnyCompressor,
    /// The output buffer, as large as the largest block so far needed.
    output: Vec<u8>,
}

enum AnyCompressor {
    Own(Deflater),
    Libdeflate(Compressor),
}

impl PooledCompressor {
    fn new(level: GzipLevel) -> Self {
        let compressor = match level.number {
            GzipLevel::OWN => AnyCompressor::Own(Deflater::new()),
            _ => AnyCompressor::Libdeflate(Compressor::new(level.level)),
        };
        Self {
            compressor,
            output: Vec::new(),
        }
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
        match &mut self.compressor {
            AnyCompressor::Own(deflater) => {
                self.output.clear();
                deflater.gzip(bytes, &mut self.output);
                Ok(self.output.clone())
            }
            AnyCompressor::Libdeflate(compressor) => {
                let bound = compressor.gzip_compress_bound(bytes.len());
                if self.output.len() < bound {
                    self.output.resize(bound, 0);
                }
                let length = compressor.gzip_compress(bytes, &mut self.output)?;
                Ok(self.output.get(..length).unwrap_or_default().to_vec())
            }
        }
    }
}

impl fmt::Debug for GzipPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GzipPool").field(&self.level).finish()
    }
}

impl GzipPool {
    /// Creates a pool, without any compressor yet.
    pub fn new(level: GzipLevel) -> Self {
        Self {
            level,
            idle: Arc::default(),
        }
    }

    /// Returns the level of all compressors.
    pub fn level(&self) -> GzipLevel {
        self.level
    }

    /// Compresses `bytes` into one whole member.
    pub fn compress(&self, bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
        let idle = || self.idle.lock();
        let reused = idle().pop();
        let mut compressor = reused.unwrap_or_else(|| PooledCompressor::new(self.level));
        let member = compressor.compress(bytes)?;
        idle().push(compressor);
        Ok(member)
    }
}

/// Counts the memory of the blocks and members of a file that are not in the file yet, in bytes.
#[derive(Debug, Clone, Default)]
pub struct MemoryGauge(Arc<AtomicUsize>);

impl MemoryGauge {
    /// Returns the bytes held.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: usize) -> GaugeReservation {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        GaugeReservation {
            gauge: self.clone(),
            bytes,
        }
    }
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
struct GaugeReservation {
    gauge: MemoryGauge,
    bytes: usize,
}

impl Drop for GaugeReservation {
    fn drop(&mut self) {
        self.gauge.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A block of a file that is ready to be compressed, on any thread.
#[derive(Debug)]
pub struct GzipBlock {
    gzip: GzipPool,
    bytes: Vec<u8>,
    reservation: GaugeReservation,
}

impl GzipBlock {
    /// Makes a block of `bytes`, which are counted by `gauge`.
    pub fn new(gzip: &GzipPool, bytes: Vec<u8>, gauge: &MemoryGauge) -> Self {
        let reservation = gauge.reserve(bytes.capacity());
        Self {
            gzip: gzip.clone(),
            bytes,
            reservation,
        }
    }

    /// Returns the number of bytes to be compressed.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Compresses the block; takes about 3 ms of CPU time for each MiB at the default level.
    pub fn compress(self) -> Result<GzipMember, CompressionError> {
        let bytes = self.gzip.compress(&self.bytes)?;
        let reservation = self.reservation.gauge.reserve(bytes.capacity());
        Ok(GzipMember {
            bytes,
            uncompressed: self.bytes.len(),
            _reservation: reservation,
        })
    }
}

/// A compressed block. The members of a file stand in the order of their blocks.
#[derive(Debug)]
pub struct GzipMember {
    bytes: Vec<u8>,
    uncompressed: usize,
    _reservation: GaugeReservation,
}

impl GzipMember {
    /// Returns the bytes of the member.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the size of its block, in bytes.
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
            let gzip = GzipPool::new(GzipLevel::new(level).unwrap());
            let member = gzip.compress(text.as_bytes()).unwrap();
            assert!(member.len() < text.len() / 20, "level {level}");
            assert_eq!(inflate(&member), text.as_bytes());
        }
        assert_eq!([0, 13, 255].map(GzipLevel::new), [None; 3]);
    }

    #[test]
    fn a_compressor_is_reused_for_blocks_of_any_size() {
        let gzip = GzipPool::new(GzipLevel::default());
        for size in [0, 1, 100_000, 3, 5_000_000, 0] {
            let bytes: Vec<u8> = (0..size)
                .map(|n: u32| (n.wrapping_mul(n) / 7) as u8)
                .collect();
            assert_eq!(inflate(&gzip.compress(&bytes).unwrap()), bytes);
        }
        assert_eq!(gzip.clone().idle.lock().len(), 1);
    }

    #[test]
    fn memory_of_blocks_is_counted_until_they_are_dropped() {
        let (gzip, gauge) = (GzipPool::new(GzipLevel::default()), MemoryGauge::default());
        let block = GzipBlock::new(&gzip, vec![b'x'; 100_000], &gauge);
        assert_eq!(gauge.bytes(), 100_000);
        let member = block.compress().unwrap();
        assert_eq!(gauge.bytes(), member.bytes().len());
        drop(member);
        assert_eq!(gauge.bytes(), 0);
    }
}
