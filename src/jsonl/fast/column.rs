//! The interface of the column decoders.

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use crate::jsonl::fast::scan::{byte, skip_space};
use crate::jsonl::fast::skip::literal;

/// Decodes the values of one field and collects them.
///
/// Rows without a value are NULL. The NULLs are added only with the next value, or at the end, so
/// that fields that are missing in a line cost nothing.
pub(crate) trait ColumnDecoder: Send {
    /// Returns the number of rows up to the last one that has a value.
    fn len(&self) -> usize;

    /// Returns true if a value may be `null`.
    fn is_nullable(&self) -> bool;

    /// Adds NULLs until there are `rows` rows. Does nothing if there are as many already.
    fn pad(&mut self, rows: usize);

    /// Reads the value that begins at `at` of a line as the value of `row`, and returns its end.
    ///
    /// Returns `None` for a value that is left to the reference decoder. The column must then be
    /// truncated.
    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize>;

    /// Removes the rows from `rows` on, and the remains of a value that could not be read.
    fn truncate(&mut self, rows: usize);

    /// Returns the first `rows` rows as an array, and leaves the column empty.
    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError>;

    /// Adds NULLs up to `row`. Returns `None` if the row has a value already.
    #[inline(always)]
    fn claim(&mut self, row: usize) -> Option<()> {
        let length = self.len();
        if length < row {
            self.pad(row);
        }
        (length <= row).then_some(())
    }

    /// Reads a `null`, the one value that all nullable columns share.
    #[cold]
    fn read_null(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        let end = literal(line, at, b"null").filter(|_| self.is_nullable())?;
        self.claim(row)?;
        self.pad(row + 1);
        Some(end)
    }

    /// Reads the elements of a list, the first of which begins at `at`, and returns the end of the
    /// list. The list has at least one element.
    fn read_list(&mut self, line: &[u8], mut at: usize) -> Option<usize> {
        let mut row = self.len();
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
