//! dayport exports tables, each defined by one SQL file, to S3 or a folder: complete days, exactly
//! once, with proof.
//!
//! The straight line, top to bottom:
//! ```text
//! sql/pageview_events.sql ─definition→ Definition ─engine (+ catalog)→ plan ending in StagedWriteExec
//!    inside StagedWriteExec: RecordBatch ─tap→ audits ─split→ (Partition, rows) ─format→ bytes, digest ─upload→ withheld upload
//!    below it: one shared scan of a source ─scan→ the rows of each table of the cycle that reads it
//!    or, on a cluster: plan ─codec→ scheduler, executors ─→ the same rows of staged files
//! ─run→ staged-file rows ─delivery→ recover → decide → commit (one put) → publish → manifest ─run→ cycle marker, report
//! ```
//!
//! | module | concept | knows of |
//! |---|---|---|
//! | [`visible`] | invisible characters of data, made visible for a terminal (pure) | – |
//! | [`error`] | error kinds, each of which says what the operator does next | object_store, `visible` |
//! | [`env`] | the only reader of the clock, randomness and the process environment | `error` |
//! | [`planted_fault`] | faults that tests plant, to see that they are noticed; none in a release build | Arrow, `env` |
//! | [`human`] | counts, sizes and ages as people read them (pure) | – |
//! | [`books`] | the rows that were read against those that were exported (pure) | `error`, `human` |
//! | [`cycle`] | windows of time, and the decision which of them are due (pure) | `error` |
//! | [`layout`] | every object key, built and parsed back (pure) | `cycle` |
//! | [`policy`] | the rights that a run and readers need, as the policies that grant them (pure) | `layout` |
//! | [`arrow_leaves`] | leaf columns of Arrow types, counted as Parquet does (pure) | Arrow |
//! | [`year_range`] | the times of the years 0001 to 9999 (pure) | Arrow |
//! | [`zone_rules`] | the newest rules of time zones | – |
//! | [`view_gc`] | garbage collection of string views (pure) | Arrow |
//! | [`codec`] | JSON text, DEFLATE and Parquet columns from Arrow | Arrow |
//! | [`row_hash`] | hashes of rows and of their values (pure) | Arrow, `error` |
//! | [`schema`] | the types of exported columns | Arrow, `error` |
//! | [`manifest`] | the published record, versioned | `books`, `layout`, `schema` |
//! | [`schema_evolution`] | the changes from a published table to the next one, and which of them stop a run (pure) | `manifest` |
//! | [`schema_version`] | the versions of a table's schema, and the files that describe them (pure) | `schema_evolution` |
//! | [`staged`] | a file whose upload is withheld, as plain data | `manifest` |
//! | [`format`] | the knowledge of each file format: encoder, decoder, options, facts | `codec`, `layout`, `schema`, `year_range` |
//! | [`jsonl`] | JSON lines to Arrow record batches, by a fast decoder and a reference decoder | `arrow_leaves`, `year_range`, `zone_rules` |
//! | [`store`] | folders and S3; uploads with withheld completion | `env`, `staged` |
//! | [`resident`] | the resident memory of the process, and what of it can be given back | – |
//! | [`memory_gate`] | bytes that wait, counted against the memory limit | DataFusion |
//! | [`memory_budget`] | the memory limit divided among all that holds memory (pure) | `jsonl`, `memory_gate` |
//! | [`spill_folder`] | the folder of spill files, with a lock; removes those of killed runs | `error` |
//! | [`record_sorter`] | records of a fixed width sorted by their bytes, with spilling | DataFusion, `spill_folder` |
//! | [`engine_error`] | DataFusion's errors as ours, and back | DataFusion, `error` |
//! | [`wide_sort`] | sorts and merges of rows of any width | `memory_budget`, `planted_fault`, `resident`, `view_gc` |
//! | [`sql_file`] | SQL with file and line for its errors | `engine_error` |
//! | [`definition`] | `sql/<table>.sql` | `manifest`, `sql_file` |
//! | [`refusal`] | queries that DataFusion answers wrongly or that are not bound to the cycle, refused with file and line | `definition`, `zone_rules` |
//! | [`listing`] | the files of a scan: globs, Hive partitions, bounds of time, fixed lists | DataFusion, `store` |
//! | [`scan`] | sources as tables: JSON and Parquet scans, shared scans, pushdown, rejects | `engine_error`, `listing`, `memory_budget`, `planted_fault`, `resident`, `view_gc` |
//! | [`catalog`] | `sql/sources/*.sql` as declared sources | `refusal`, `scan` |
//! | [`stage`] | the operator that a `COPY` plans into | `engine_error`, `format`, `schema_evolution`, `store`, `wide_sort` |
//! | [`engine`] | the session; definition + cycle → plan → staged files | `catalog`, `spill_folder`, `stage` |
//! | `cluster` | plans run by an Apache Ballista cluster; its scheduler and executors (feature `cluster`) | Ballista, `engine` |
//! | [`audit`] | rules for the rows of a cycle, checked before these are published | `engine`, `record_sorter`, `row_hash` |
//! | [`delivery`] | log, commit, publish, recover; nothing of SQL | `schema_version`, `store` |
//! | [`cycle_marker`] | markers of complete cycles: decided (pure), written, read | `delivery` |
//! | [`exported`] | published tables read back | `delivery`, `scan` |
//! | [`run`] | many tables and cycles, guards, the report: joins engine and delivery | `audit`, `cycle_marker`, `exported` |
//! | [`check`] | the test whether a run can succeed; probes the destination by real calls | `delivery`, `engine`, `policy` |
//! | [`query`] | SQL over sources and published tables | `engine`, `exported` |
//! | [`diff`] | tables compared: definitions, git revisions of them, and what is published | `engine`, `exported`, `record_sorter`, `row_hash` |
//! | [`ddl`] | the statements that let a receiver read the export (pure) | `definition`, `stage` |
//! | [`trace`] | the reason why an event is in the export, or is not | `engine`, `exported` |
//! | [`cases`] | tests of definitions: `sql/tests`, run over given lines and compared | `audit`, `query`, `trace` |
//! | [`verify`] | published files checked against their manifests, and markers too | `cycle_marker`, `format` |
//! | [`wait`] | the wait until a cycle is published | `cycle_marker` |
//! | [`changes`] | the cycles to load again, since an instant | `delivery` |
//! | [`status`] | a calendar of published cycles, and its page | `cycle_marker` |
//! | [`init`] | sources and definitions made of a sample of files | `engine` |
//! | [`serve`] | the schedule, metrics, events, HTTP | `run`, `status` |
//! | `fuzz` | fuzz targets (tests, and feature `fuzz`) | `cases` |
//! | [`cli`] | one file for each command; arguments → configuration; rendering | `cases`, `changes`, `check`, `cluster`, `ddl`, `diff`, `init`, `serve`, `verify`, `wait` |
//!
//! Imports point up this table only. The last column names the modules and libraries that a module
//! imports, without those that another one of them knows of already. `tests/it/architecture.rs`
//! checks both.
//!
//! [`env`]: mod@env
//! [`format`]: mod@format

pub(crate) mod arrow_leaves;
pub(crate) mod audit;
pub mod books;
pub(crate) mod cases;
pub mod catalog;
pub(crate) mod changes;
pub(crate) mod check;
pub mod cli;
#[cfg(feature = "cluster")]
pub(crate) mod cluster;
pub mod codec;
pub mod cycle;
pub(crate) mod cycle_marker;
pub(crate) mod ddl;
pub mod definition;
pub(crate) mod delivery;
pub(crate) mod diff;
pub mod engine;
pub(crate) mod engine_error;
pub mod env;
pub mod error;
pub(crate) mod exported;
pub(crate) mod format;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub(crate) mod human;
pub(crate) mod init;
pub mod jsonl;
pub mod layout;
pub(crate) mod listing;
pub mod manifest;
pub mod memory_budget;
pub(crate) mod memory_gate;
pub(crate) mod planted_fault;
pub(crate) mod policy;
pub(crate) mod query;
pub(crate) mod record_sorter;
pub(crate) mod refusal;
pub(crate) mod resident;
pub(crate) mod row_hash;
pub mod run;
pub mod scan;
pub(crate) mod schema;
pub(crate) mod schema_evolution;
mod schema_version;
pub(crate) mod serve;
pub mod spill_folder;
pub(crate) mod sql_file;
pub mod stage;
pub(crate) mod staged;
pub(crate) mod status;
pub mod store;
pub(crate) mod trace;
pub(crate) mod verify;
pub(crate) mod view_gc;
pub(crate) mod visible;
pub(crate) mod wait;
pub(crate) mod wide_sort;
pub(crate) mod year_range;
pub(crate) mod zone_rules;
