//! Tests of definitions: `sql/tests/<table>/<case>/` has a few lines of each source, and the rows that the
//! definition has to export of them.
//!
//! ```text
//! <source>.jsonl ─lines (defaults)→ engine::line_rows → rows, rejects ─cells→ ┐
//! expected.jsonl ─expected (types of the export)─────────────────────────────┴→ difference → CaseReport
//! ```
//! The lines pass the decoder of a run, and the rows its checks; nothing is written but what `--update` and
//! `--new` ask for.
//!
//! | file | concept |
//! |---|---|
//! | `folder`, `settings` | the cases as files |
//! | `lines` | what a line leaves out |
//! | `expected`, `expected_rejects`, `expected_audits` | the expectations, with file and line for what is wrong in them |
//! | `cells`, `difference` | rows as text of their cells, compared |
//! | `execute`, `report` | the run of the cases, and its result |
//! | `update`, `cut` | expectations and cases that are written |

mod cells;
mod cut;
mod difference;
mod execute;
mod expected;
mod expected_audits;
mod expected_rejects;
mod folder;
mod lines;
mod report;
mod settings;
mod update;

pub(crate) use cut::{CutRequest, RowsOf, cut};
pub(crate) use difference::{CellChange, ChangedRow, MissingRow, RowsDifference};
pub(crate) use execute::{CaseRequest, run_cases};
pub(crate) use expected_rejects::RejectsDifference;
pub(crate) use folder::{Case, CaseName, load_cases};
pub(crate) use report::{CaseOutcome, CaseReport, Failure, TestReport};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use settings::parse_settings;
