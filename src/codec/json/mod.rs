//! Record batches to lines of JSON, spelled as `arrow::json` spells them, in less time.
//!
//! ```text
//! RecordBatch ─LineWriter→ OutputText: one object per line, NULL fields left out
//! ```

mod line_writer;
mod numbers;
mod output_text;
mod strict_times;
mod strings;
mod time;

#[cfg(test)]
mod tests;

pub use line_writer::LineWriter;
pub use output_text::OutputText;
pub use strict_times::StrictTimes;
