//! What all columns have in common.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::error::ArrowError;

use crate::jsonl::fast::scan::{byte, skip_space};
use crate::jsonl::fast::skip::literal;

/// The values of one field that were read so far.
///
/// Rows of which it has no value are NULL. They are added only when a later row has one, or at the
/// end, so that fields that are missing in a line cost nothing.
pub(crate) trait Column: Send {
    /// The number of rows up to the last that has a value.
    fn len(&self) -> usize;

    /// Whether a value may be `null`.
    fn is_nullable(&self) -> bool;

    /// Adds NULLs until there are `rows` rows; no more than [`Self::len`] does nothing.
    fn pad(&mut self, rows: usize);

    /// Reads the value that begins at `at` of a line, as that of the row `row`: its end, or `None`
    /// for what is left to the reference decoder. Then this column must be truncated.
    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize>;

    /// Forgets the rows from `rows` on, and what was read of a value that failed.
    fn truncate(&mut self, rows: usize);

    /// The first `rows` rows as an array. The column is empty then.
    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError>;

    /// Adds NULLs up to `row`. `None` if there is a value of it.
    #[inline(always)]
    fn claim(&mut self, row: usize) -> Option<()> {
        let length = self.len();
        if length < row {
            self.pad(row);
        }
        (length <= row).then_some(())
    }

    /// Reads a `null`, the one value that every column may have.
    #[cold]
    fn read_null(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        let end = literal(line, at, b"null").filter(|_| self.is_nullable())?;
        self.claim(row)?;
        self.pad(row + 1);
        Some(end)
    }

    /// Reads the values of a list whose `[` and space stand before `at`: the end of the list. It has
    /// at least one value.
    fn read_list(&mut self, line: &[u8], at: usize) -> Option<usize> {
        let (mut at, mut row) = (at, self.len());
        loop {
            at = skip_space(line, self.read(line, at, row)?);
            match byte(line, at) {
                b',' => at = skip_space(line, at + 1),
                b']' => return Some(at + 1),
                _ => return None,
            }
            row += 1;
        }
    }
}
