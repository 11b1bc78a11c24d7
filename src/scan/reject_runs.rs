//! Sorted runs of rejects in a temporary file, and their merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::scan::rejects::{Reject, RejectedLine};

/// The size of each of the two buffers of a run that is read, in bytes. A merge holds them for each
/// run.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// An anonymous temporary file, which runs are appended to. It is gone with the last run.
#[derive(Debug, Clone)]
pub(super) struct RunFile(Arc<Mutex<File>>);

/// A sorted run of rejects within a file, as gzip JSON lines: neighbours hardly differ, so that even
/// the record of a source without any valid line takes little room.
#[derive(Debug, Clone)]
pub(super) struct Run {
    file: RunFile,
    start: u64,
    end: u64,
}

impl RunFile {
    /// Creates an empty file in the folder for temporary files.
    ///
    /// # Errors
    /// [`Error::unavailable`] if that is not possible.
    pub(super) fn create() -> Result<Self> {
        let file = tempfile::tempfile().map_err(cannot_spill)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Appends a run of rejects, which must be sorted.
    ///
    /// # Errors
    /// [`Error::unavailable`] if the file cannot be written; errors of `rejects`.
    pub(super) fn append(
        &self,
        rejects: impl Iterator<Item = Result<RejectedLine>>,
    ) -> Result<Run> {
        let mut file = self.0.lock();
        let start = file.seek(SeekFrom::End(0)).map_err(cannot_spill)?;
        let mut writer = GzEncoder::new(BufWriter::new(&mut *file), Compression::fast());
        for reject in rejects {
            serde_json::to_writer(&mut writer, &reject?)
                .map_err(|error| cannot_spill(error.into()))?;
            writer.write_all(b"\n").map_err(cannot_spill)?;
        }
        let mut buffered = writer.finish().map_err(cannot_spill)?;
        buffered.flush().map_err(cannot_spill)?;
        drop(buffered);
        let end = file.stream_position().map_err(cannot_spill)?;
        drop(file);
        Ok(Run {
            file: self.clone(),
            start,
            end,
        })
    }
}

impl Run {
    /// Reads the rejects of the run in their order.
    pub(super) fn read(&self) -> impl Iterator<Item = Result<RejectedLine>> + Send + 'static {
        let stored = RunReader {
            file: self.file.clone(),
            position: self.start,
            end: self.end,
        };
        let buffered = BufReader::with_capacity(READ_BUFFER_BYTES, stored);
        let mut lines = BufReader::with_capacity(READ_BUFFER_BYTES, GzDecoder::new(buffered));
        let mut line = String::new();
        std::iter::from_fn(move || {
            line.clear();
            match lines.read_line(&mut line) {
                Ok(0) => None,
                Ok(_) => Some(
                    serde_json::from_str(&line).map_err(|error| cannot_read_back(error.into())),
                ),
                Err(error) => Some(Err(cannot_read_back(error))),
            }
        })
    }
}

/// Reads the bytes of one run. Runs of one file are read in turn.
struct RunReader {
    file: RunFile,
    position: u64,
    end: u64,
}

impl Read for RunReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.0.lock();
        file.seek(SeekFrom::Start(self.position))?;
        let length = (&mut *file)
            .take(self.end - self.position)
            .read(into)
            .inspect(|length| self.position += *length as u64)?;
        if length == 0 && self.position < self.end && !into.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(length)
    }
}

/// A k-way merge of sorted rejects: in the order of files and lines, each line once.
pub struct MergedRejects {
    inputs: Vec<Box<dyn Iterator<Item = Result<RejectedLine>> + Send>>,
    /// The next reject of each input that has one, with the input's index.
    heads: BinaryHeap<Reverse<(RejectedLine, usize)>>,
}

impl MergedRejects {
    /// Creates a merge of inputs that are sorted.
    ///
    /// # Errors
    /// The first error of an input.
    pub(super) fn new(
        inputs: Vec<Box<dyn Iterator<Item = Result<RejectedLine>> + Send>>,
    ) -> Result<Self> {
        let mut merged = Self {
            heads: BinaryHeap::with_capacity(inputs.len()),
            inputs,
        };
        for index in 0..merged.inputs.len() {
            merged.advance(index)?;
        }
        Ok(merged)
    }

    /// Takes the next reject of an input.
    fn advance(&mut self, index: usize) -> Result<()> {
        if let Some(next) = self.inputs.get_mut(index).and_then(Iterator::next) {
            self.heads.push(Reverse((next?, index)));
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<RejectedLine>> {
        let Some(Reverse((line, index))) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(index)?;
        Ok(Some(line))
    }

    fn try_next(&mut self) -> Result<Option<RejectedLine>> {
        let Some(first) = self.pop()? else {
            return Ok(None);
        };
        let Reject { file, line, .. } = &first.reject;
        let is_same_line = |other: &Reject| other.line == *line && other.file == *file;
        while let Some(Reverse((next, _))) = self.heads.peek()
            && is_same_line(&next.reject)
        {
            self.pop()?;
        }
        Ok(Some(first))
    }
}

impl Iterator for MergedRejects {
    type Item = Result<RejectedLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.try_next();
        if next.is_err() {
            self.heads.clear();
        }
        next.transpose()
    }
}

fn cannot_spill(error: io::Error) -> Error {
    Error::unavailable("cannot spill rejects to the folder for temporary files")
        .with_source(error)
        .with_hint(
            "it needs room for the record of all malformed lines; --spill-dir names another folder",
        )
}

fn cannot_read_back(error: io::Error) -> Error {
    Error::unavailable("cannot read rejects back from the folder for temporary files")
        .with_source(error)
}
