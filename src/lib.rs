//! dayport exports tables, each defined by one SQL file, to S3 or a folder: complete days, exactly
//! once, with proof.
//!
//! The straight line, top to bottom:
//! ```text
//! sql/pageview_events.sql ─definition→ Definition ─engine (+ source)→ plan ending in StageExec
//!    inside StageExec: RecordBatch ─split→ (Partition, rows) ─encode→ bytes, digest ─upload→ withheld upload
//!    below it: one pass over a source ─share→ the rows of each table of the cycle that reads it
//!    or, on a cluster: plan ─codec→ scheduler, executors ─→ the same rows of staged files
//! ─run→ staged-file rows ─delivery→ recover → decide → commit (one put) → publish → manifest ─run→ report
//! ```
//!
//! | module | concept | knows of |
//! |---|---|---|
//! | [`error`] | what went wrong, and what the operator does next | – |
//! | [`env`] | the clock, randomness and the process environment; their only readers | `error` |
//! | [`cycle`] | windows, and which of them are due (pure) | `error` |
//! | [`layout`] | every object key, built and parsed back (pure) | `cycle` |
//! | [`policy`] | the rights that a run needs, as the policies that grant them (pure) | `layout` |
//! | [`schema`] | the types of exported columns | Arrow |
//! | [`compact`] | rows that hold no more memory than they need (pure) | Arrow |
//! | [`manifest`] | the published record, versioned | `layout`, `schema` |
//! | [`staged`] | a file that nobody can see yet, as plain data | `manifest` |
//! | [`encode`] | rows to bytes: JSON lines, Parquet | Arrow |
//! | [`store`] | folders and S3; uploads with withheld completion | `object_store` |
//! | [`task`] | what an operator knows of the task that it runs in | DataFusion |
//! | [`sql_file`], [`engine_error`] | complaints with file and line, across the border with DataFusion | DataFusion |
//! | [`definition`] | `sql/<table>.sql` | `sql_file` |
//! | [`source`] | `sql/sources/*.sql` as tables; frozen lists; JSON lines; rejects; shared passes | DataFusion |
//! | [`stage`] | the operator that a `COPY` plans into | DataFusion, `encode`, `store` |
//! | `cluster` | plans run by an Apache Ballista cluster; its scheduler and executors (feature `cluster`) | `source`, `stage` |
//! | [`engine`] | the session; definition + cycle → plan → staged files | all of these |
//! | [`delivery`] | log, commit, publish, recover; nothing of SQL | `staged`, `store` |
//! | [`run`] | many tables and cycles, guards, the report: joins engine and delivery | both |
//! | [`check`] | whether a run can succeed; the destination by real calls | `engine`, `store`, `policy` |
//! | [`exported`], [`query`] | published tables read back; SQL over everything | both |
//! | [`ddl`] | the statements that let a receiver read the export (pure) | `manifest`, `definition` |
//! | [`trace`] | why an event is in the export, or is not | `exported` |
//! | [`verify`] | what was published, held against its manifests | `delivery` |
//! | [`wait`] | until a cycle is published | `delivery` |
//! | [`status`] | a calendar of what is published, and the page that shows it | `delivery` |
//! | [`serve`] | when to run, metrics, events, HTTP | `run`, `status` |
//! | [`cli`] | one file for each command; arguments → configuration; rendering | everything |
//!
//! Imports point up this table only; `tests/it/architecture.rs` holds them to it.

pub mod catalog;
pub mod check;
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod compact;
pub mod cycle;
pub mod ddl;
pub mod definition;
pub mod delivery;
pub mod encode;
pub mod engine;
pub mod engine_error;
pub mod env;
pub mod error;
pub mod exported;
pub mod jsonl;
pub mod layout;
pub mod listing;
pub mod manifest;
pub mod policy;
pub mod query;
pub mod run;
pub mod scan;
pub mod schema;
pub mod serve;
pub mod sql_file;
pub mod stage;
pub mod staged;
pub mod status;
pub mod store;
pub mod task;
pub mod trace;
pub mod verify;
pub mod wait;
