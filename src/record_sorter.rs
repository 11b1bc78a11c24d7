//! Sorts records of a fixed width by their bytes, with spilling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryReservation;

use crate::error::{Error, Result};
use crate::spill_folder::SpillFolder;

/// The bytes that are read of a run at a time.
const READ_BYTES: usize = 64 << 10;

/// The share of the buffer that its first records reserve, in bytes.
const FIRST_BYTES: usize = 256 << 10;

/// Collects records and sorts them. What does not fit into its buffer is spilled in sorted runs.
#[derive(Debug)]
pub(crate) struct RecordSorter {
    width: usize,
    max_bytes: usize,
    buffer: Vec<u8>,
    runs: Vec<File>,
    reservations: Vec<MemoryReservation>,
    folder: Option<Arc<SpillFolder>>,
}

impl RecordSorter {
    /// Creates a sorter of records of `width` bytes, which holds up to `max_bytes` in memory, reserved in
    /// all of `reservations`.
    pub(crate) fn new(
        width: usize,
        max_bytes: usize,
        reservations: Vec<MemoryReservation>,
    ) -> Self {
        Self {
            width,
            // An index of each record comes on top when they are sorted.
            max_bytes: max_bytes / (width + size_of::<u32>()) * width,
            buffer: Vec::new(),
            runs: Vec::new(),
            reservations,
            folder: None,
        }
    }

    /// Spills to a folder in place of the system's temporary one.
    #[must_use]
    pub(crate) fn spilling_to(self, folder: Option<Arc<SpillFolder>>) -> Self {
        Self { folder, ..self }
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: &[u8]) -> Result<()> {
        debug_assert_eq!(record.len(), self.width);
        let bytes = self.buffer.len() + self.width;
        if bytes > self.max_bytes.max(self.width) {
            self.spill()?;
        } else if bytes > self.buffer.capacity() {
            let capacity = (2 * self.buffer.len())
                .max(FIRST_BYTES)
                .min(self.max_bytes)
                .max(bytes);
            for reservation in &self.reservations {
                reservation.resize(capacity);
            }
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(record);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let order = order(&self.buffer, self.width);
        let file = match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder.path()),
            None => tempfile::tempfile(),
        };
        let mut file = BufWriter::new(file.map_err(cannot_spill)?);
        for index in order {
            let start = index as usize * self.width;
            file.write_all(&self.buffer[start..start + self.width])
                .map_err(cannot_spill)?;
        }
        let run = file
            .into_inner()
            .map_err(|error| cannot_spill(error.into_error()))?;
        self.runs.push(run);
        self.buffer.clear();
        Ok(())
    }

    /// Returns all records in order.
    pub(crate) fn finish(mut self) -> Result<SortedRecords> {
        if !self.runs.is_empty() {
            self.spill()?;
            self.buffer = Vec::new();
        }
        let mut runs = Vec::with_capacity(self.runs.len());
        for mut file in std::mem::take(&mut self.runs) {
            file.rewind().map_err(cannot_spill)?;
            runs.push(BufReader::with_capacity(READ_BYTES, file));
        }
        let mut merge = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            let mut record = vec![0; self.width];
            if read_record(run, &mut record)? {
                merge.push(Reverse((record, index)));
            }
        }
        Ok(SortedRecords {
            order: order(&self.buffer, self.width).into_iter(),
            buffer: self.buffer,
            current: vec![0; self.width],
            runs,
            merge,
            _reservations: self.reservations,
        })
    }
}

/// Returns the indexes of the records of `buffer` in the order of their bytes.
fn order(buffer: &[u8], width: usize) -> Vec<u32> {
    let record = |index: u32| &buffer[index as usize * width..][..width];
    let count = u32::try_from(buffer.len() / width).unwrap_or(u32::MAX);
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by(|one, other| record(*one).cmp(record(*other)));
    order
}

/// Reads the next record. Returns false at the end.
fn read_record(run: &mut BufReader<File>, record: &mut [u8]) -> Result<bool> {
    match run.read_exact(record) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(cannot_spill(error)),
    }
}

pub(crate) fn cannot_spill(error: io::Error) -> Error {
    Error::unavailable("cannot keep what does not fit into memory in a file")
        .with_source(error)
        .with_hint("name a folder with room for it with --spill-dir")
}

/// Records in order.
#[derive(Debug)]
pub(crate) struct SortedRecords {
    /// The records, if none was spilled.
    buffer: Vec<u8>,
    order: std::vec::IntoIter<u32>,
    current: Vec<u8>,
    runs: Vec<BufReader<File>>,
    /// The next record of each run.
    merge: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    _reservations: Vec<MemoryReservation>,
}

impl SortedRecords {
    /// Returns the next record, until there is none.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        if let Some(index) = self.order.next() {
            let width = self.current.len();
            return Ok(Some(&self.buffer[index as usize * width..][..width]));
        }
        let Some(Reverse((mut record, index))) = self.merge.pop() else {
            return Ok(None);
        };
        std::mem::swap(&mut self.current, &mut record);
        if read_record(&mut self.runs[index], &mut record)? {
            self.merge.push(Reverse((record, index)));
        }
        Ok(Some(&self.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(records: &[u32], max_bytes: usize) -> (Vec<u32>, usize) {
        let mut sorter = RecordSorter::new(4, max_bytes, Vec::new());
        for record in records {
            sorter.push(&record.to_be_bytes()).unwrap();
        }
        let runs = sorter.runs.len();
        let mut sorted = sorter.finish().unwrap();
        let mut read = Vec::new();
        while let Some(record) = sorted.next().unwrap() {
            read.push(u32::from_be_bytes(record.try_into().unwrap()));
        }
        (read, runs)
    }

    #[test]
    fn records_are_sorted_in_memory_and_on_disk() {
        let records: Vec<u32> = (0..5000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761) % 977)
            .collect();
        let mut expected = records.clone();
        expected.sort_unstable();
        let (in_memory, runs) = sorted(&records, 1 << 20);
        assert_eq!((in_memory, runs), (expected.clone(), 0));
        let (spilled, runs) = sorted(&records, 4096);
        assert_eq!(spilled, expected);
        assert!(runs > 5, "{runs}");
        assert_eq!(sorted(&[], 4096).0, [0_u32; 0]);
        assert_eq!(sorted(&[3, 1], 1).0, [1, 3]);
    }
}
