//! Record batches to Parquet: strings by an encoder of our own, all other columns by parquet-rs.
//!
//! ```text
//! RecordBatch ─leaves→ strings ─StringColumn────────┐
//!                  └─→ all else ─ArrowColumnWriter──┴→ row group → file
//! ```

pub(crate) mod dictionary_choice;
mod file_writer;
mod leaves;
mod row_group;
mod strings;

pub(crate) use file_writer::{FileWriter, opening_memory};
