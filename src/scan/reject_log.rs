//! The rejects of a scan, on record: a bounded buffer, and sorted runs that are spilled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;
use crate::jsonl::{BadLine, TextShape};
use crate::scan::file_rejects::FileRejects;
use crate::scan::line_text::LineText;
use crate::scan::reject_runs::{MergedRejects, Run, RunFile};
use crate::scan::rejects::{Reject, RejectedLine};

/// The size of the rejects that are buffered before they are spilled, in bytes: about 40,000.
const MAX_BUFFERED_BYTES: usize = 8 << 20;

/// The number of runs from which they are merged to one, to bound the memory of later merges.
const MAX_RUNS: usize = 128;

/// The size of the texts that a scan keeps of malformed lines, in bytes. Further lines are on record
/// without their text, so that a source in which most lines are malformed is not copied.
const MAX_TEXTS_BYTES: usize = 64 << 20;

/// The rejects of one scan, whose tasks add to it. Its memory is bounded.
pub(crate) struct RejectLog {
    max_buffered_bytes: usize,
    max_runs: usize,
    /// The size of the texts that are kept, in bytes.
    max_texts_bytes: usize,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    buffer: Vec<RejectedLine>,
    buffered_bytes: usize,
    texts_bytes: usize,
    runs: Vec<Run>,
    /// The file that runs are appended to, once there is one.
    file: Option<RunFile>,
    by_file: BTreeMap<String, FileRejects>,
}

impl Default for RejectLog {
    fn default() -> Self {
        Self::with_limits(MAX_BUFFERED_BYTES, MAX_RUNS)
    }
}

impl RejectLog {
    /// Creates an empty log that keeps the texts of lines.
    pub(super) fn with_texts() -> Self {
        Self {
            max_texts_bytes: MAX_TEXTS_BYTES,
            ..Self::default()
        }
    }
}

impl fmt::Debug for RejectLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectLog").finish_non_exhaustive()
    }
}

impl RejectLog {
    fn with_limits(max_buffered_bytes: usize, max_runs: usize) -> Self {
        Self {
            max_buffered_bytes,
            max_runs,
            max_texts_bytes: 0,
            state: Mutex::default(),
        }
    }

    /// Returns the text of a malformed line, if the log still keeps texts. `line` is the text of the line,
    /// or the beginning of an oversized one.
    pub(super) fn text_of(&self, bad: &BadLine, line: &[u8]) -> Option<LineText> {
        if self.max_texts_bytes == 0 {
            return None;
        }
        let text = LineText::of(bad, line);
        let mut state = self.state.lock();
        state.texts_bytes = state.texts_bytes.saturating_add(text.bytes());
        (state.texts_bytes <= self.max_texts_bytes).then_some(text)
    }

    /// Adds a reject. Spilling a full buffer blocks for some milliseconds.
    ///
    /// # Errors
    /// [`Error::unavailable`](crate::error::Error::unavailable) if the buffer cannot be spilled.
    pub(super) fn push(&self, line: RejectedLine) -> Result<()> {
        let mut state = self.state.lock();
        let of_file = state.of_file(&line.reject.file);
        of_file.lines += 1;
        of_file.bytes += line.length;
        state.buffered_bytes += line.buffered_bytes();
        state.buffer.push(line);
        if state.buffered_bytes < self.max_buffered_bytes {
            return Ok(());
        }
        state.spill()?;
        if state.runs.len() >= self.max_runs {
            state.merge_runs()?;
        }
        Ok(())
    }

    /// Notes what a file looks like that has rejects.
    pub(super) fn note_shape(&self, file: &str, shape: TextShape) {
        self.state.lock().of_file(file).shape = Some(shape);
    }

    /// Notes that a file has no good line, and the most common reason.
    pub(super) fn note_without_row(&self, file: &str, reason: String) {
        self.state.lock().of_file(file).without_row = Some(reason);
    }

    /// Notes that the rest of a file cannot be read, with its position and the reason.
    pub(super) fn note_broken(&self, file: &str, reason: String) {
        self.state.lock().of_file(file).broken = Some(reason);
    }

    /// Returns the rejects of each file that has some, or that has no good line.
    pub(crate) fn by_file(&self) -> BTreeMap<String, FileRejects> {
        self.state.lock().by_file.clone()
    }
}

impl LogState {
    fn of_file(&mut self, file: &str) -> &mut FileRejects {
        self.by_file.entry(file.to_owned()).or_default()
    }

    fn spill(&mut self) -> Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => RunFile::create()?,
        };
        self.buffer.sort_unstable();
        self.runs.push(file.append(self.buffer.drain(..).map(Ok))?);
        self.buffered_bytes = 0;
        self.file = Some(file);
        Ok(())
    }

    /// Merges all runs to one in a new file. The old file goes with its runs.
    fn merge_runs(&mut self) -> Result<()> {
        let file = RunFile::create()?;
        self.runs = vec![file.append(MergedRejects::new(self.runs_to_read())?)?];
        self.file = Some(file);
        Ok(())
    }

    fn runs_to_read(&self) -> Vec<Box<dyn Iterator<Item = Result<RejectedLine>> + Send>> {
        let boxed = |run: &Run| Box::new(run.read()) as Box<_>;
        self.runs.iter().map(boxed).collect()
    }
}

impl RejectedLine {
    /// Returns the memory of the line in a buffer.
    pub(crate) fn buffered_bytes(&self) -> usize {
        let Reject {
            file,
            field,
            reason,
            ..
        } = &self.reject;
        let field_bytes = field.as_ref().map_or(0, String::len);
        let text_bytes = self.text.as_ref().map_or(0, LineText::bytes);
        size_of::<Self>() + file.len() + field_bytes + reason.len() + text_bytes
    }
}

/// The rejects of all scans of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceRejects {
    logs: Vec<Arc<RejectLog>>,
}

impl SourceRejects {
    /// Creates the rejects of these scans.
    pub(super) fn new(logs: Vec<Arc<RejectLog>>) -> Self {
        Self { logs }
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        let has_none = |log: &Arc<RejectLog>| {
            let state = log.state.lock();
            state.by_file.values().all(|rejects| rejects.lines == 0)
        };
        self.logs.iter().all(has_none)
    }

    /// Returns the rejects of each file that has some, or that has no good line.
    pub(super) fn by_file(&self) -> BTreeMap<String, FileRejects> {
        let mut by_file: BTreeMap<String, FileRejects> = BTreeMap::new();
        for (file, rejects) in self.logs.iter().flat_map(|log| log.by_file()) {
            by_file.entry(file).or_default().merge(rejects);
        }
        by_file
    }

    /// Returns the first reject in the order of files and lines.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn first(&self) -> Result<Option<Reject>> {
        self.read()?.next().transpose()
    }

    /// Reads the rejects without their texts, as they are on record in the destination, in the order of
    /// files and lines. A line that several scans rejected is returned once.
    ///
    /// # Errors
    /// As [`Self::read_lines`].
    pub fn read(&self) -> Result<impl Iterator<Item = Result<Reject>> + use<>> {
        let lines = self.read_lines()?;
        Ok(lines.map(|line| line.map(|line| line.reject)))
    }

    /// Reads the rejects with their texts, which are for the operator alone. Their order is that of
    /// [`Self::read`].
    ///
    /// # Errors
    /// [`Error::unavailable`](crate::error::Error::unavailable) if spilled rejects cannot be read.
    pub fn read_lines(&self) -> Result<MergedRejects> {
        let mut inputs = Vec::new();
        for log in &self.logs {
            let state = log.state.lock();
            inputs.append(&mut state.runs_to_read());
            let mut buffered = state.buffer.clone();
            buffered.sort_unstable();
            inputs.push(Box::new(buffered.into_iter().map(Ok)));
        }
        MergedRejects::new(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(file: &str, line: u64, reason: &str) -> RejectedLine {
        RejectedLine {
            reject: Reject {
                file: file.to_owned(),
                line,
                offset: line * 10,
                field: None,
                reason: reason.to_owned(),
                record: None,
            },
            length: 10,
            text: None,
        }
    }

    fn read(logs: Vec<Arc<RejectLog>>) -> Vec<(String, u64)> {
        let merged = SourceRejects::new(logs).read().unwrap();
        let positions = merged.map(|reject| reject.map(|reject| (reject.file, reject.line)));
        positions.collect::<Result<_>>().unwrap()
    }

    /// A log with two rejects in a buffer and at most `max_runs` runs.
    fn tiny_log(max_runs: usize) -> Arc<RejectLog> {
        let two = 2 * reject("a", 0, "x").buffered_bytes();
        Arc::new(RejectLog::with_limits(two, max_runs))
    }

    #[test]
    fn spilled_and_buffered_rejects_are_read_in_the_order_of_files_and_lines() {
        for max_runs in [2, 3, 1000] {
            let log = tiny_log(max_runs);
            // Lines of two files in turn, the later ones first.
            for line in (1..=101).rev() {
                log.push(reject(["b", "a"][line as usize % 2], line, "x"))
                    .unwrap();
            }
            let state = log.state.lock();
            assert_eq!(state.buffer.len(), 1);
            assert!(state.runs.len() == 50 || state.runs.len() < max_runs);
            assert_eq!(
                state.by_file.values().map(|file| file.lines).sum::<u64>(),
                101
            );
            drop(state);
            let a = (1..=101).step_by(2).map(|line| ("a".to_owned(), line));
            let b = (2..=100).step_by(2).map(|line| ("b".to_owned(), line));
            let expected: Vec<_> = a.chain(b).collect();
            assert_eq!(read(vec![log]), expected);
        }
    }

    #[test]
    fn a_line_that_two_scans_reject_is_read_once() {
        let (first, second) = (tiny_log(1000), tiny_log(1000));
        for line in [3, 1, 2] {
            first.push(reject("a", line, "x")).unwrap();
        }
        // The scans read different columns, and so give different reasons.
        for line in [5, 2, 3] {
            second.push(reject("a", line, "y")).unwrap();
        }
        let expected = [1, 2, 3, 5].map(|line| ("a".to_owned(), line));
        assert_eq!(read(vec![first, second]), expected);
    }

    #[test]
    fn a_reject_survives_being_spilled_as_it_is() {
        let log = Arc::new(RejectLog::with_limits(1, 1));
        let odd = RejectedLine {
            text: Some(LineText {
                value: Some("\u{0}\n\u{1f600}".to_owned()),
                line: "{\"a\":\r\u{fffd}".to_owned(),
            }),
            ..reject("a\n\u{1b}\"\u{2028}", u64::MAX / 10, "no\r\n\tJSON\u{0}")
        };
        log.push(odd.clone()).unwrap();
        assert!(log.state.lock().buffer.is_empty());
        let rejects = SourceRejects::new(vec![log]);
        assert_eq!(rejects.first().unwrap().as_ref(), Some(&odd.reject));
        let lines = rejects.read_lines().unwrap();
        assert_eq!(lines.collect::<Result<Vec<_>>>().unwrap(), [odd]);
        assert!(!rejects.is_empty());
        assert!(SourceRejects::default().is_empty());
        assert_eq!(SourceRejects::default().first().unwrap(), None);
    }

    #[test]
    fn texts_are_kept_up_to_a_total() {
        let bad = BadLine {
            line: 1,
            offset: 0,
            length: 4,
            reason: String::new(),
            field: None,
            value_at: None,
            is_record: false,
        };
        let kept = |log: &RejectLog| log.text_of(&bad, b"text").is_some();
        let log = RejectLog {
            max_texts_bytes: 11,
            ..RejectLog::default()
        };
        assert_eq!([(); 4].map(|()| kept(&log)), [true, true, false, false]);
        assert!(kept(&RejectLog::with_texts()));
        assert!(!kept(&RejectLog::default()), "a log without texts");
    }
}
