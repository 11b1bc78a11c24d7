//! The request of a run: its settings, as opposed to the components that it works with.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::cycle::Cycle;
use crate::cycle_marker::ExportTables;
use crate::definition::Definition;
use crate::delivery::History;
use crate::error::{Error, Result};
use crate::layout::{FileFormat, TableName};
use crate::scan::rejects::MaxRejects;
use crate::scan::{AwaitRule, MaxMisplaced, NotReady};

/// The default maximum of due cycles of one table that a run attempts without being asked for them:
/// a month. More are due after a long stop, or because a clock or the first published day is wrong.
pub const MAX_CATCH_UP: usize = 31;

/// The cycles that a run selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CycleSelection {
    /// Every closed cycle that is due, according to what is published.
    Due,
    /// These cycles, oldest first.
    Cycles(Vec<Cycle>),
}

/// The settings of a run: which tables and cycles to deliver, and how.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The definitions of the tables to export.
    pub definitions: Vec<Definition>,
    /// The tables that a complete cycle consists of, besides those of `definitions`.
    pub export: ExportTables,
    /// The cycles to export.
    pub selection: CycleSelection,
    /// True if cycles that are published are replaced.
    pub rerun: bool,
    /// The values of the parameters beyond the window.
    pub parameters: BTreeMap<String, String>,
    /// The format of tables whose definitions pin none.
    pub format: FileFormat,
    /// The size in bytes at which a file is rolled; absent for the default of its format.
    pub target_file_size: Option<u64>,
    /// The number of tables that are delivered concurrently, sharing their scans.
    pub jobs: usize,
    /// The maximum number of cycles of one table, if they are selected by what is due.
    pub max_cycles: Option<usize>,
    /// The maximum number of due cycles of one table that a run attempts without being asked for them.
    pub max_catch_up: usize,
    /// True if more due cycles than `max_catch_up` are left to later runs; otherwise they are an error.
    pub catches_up_in_rounds: bool,
    /// The maximum number or share of malformed lines of a source.
    pub max_rejects: MaxRejects,
    /// The maximum number or share of rows of a source outside of the time of their folder.
    pub max_misplaced: MaxMisplaced,
    /// The maximum percentage of rows by which a replacement may be smaller than what it replaces.
    pub max_shrink: u8,
    /// True if a replacement may shrink by any number of rows.
    pub allow_shrink: bool,
    /// True if cycles without source files are published without rows.
    pub allow_empty: bool,
    /// The time after the end of a cycle for which it waits for sources that are not ready; absent if it
    /// waits for ever.
    pub ready_timeout: Option<TimeDelta>,
    /// True if a cycle that waited for so long is published as provisional; otherwise it fails.
    pub publish_unready: bool,
    /// The number of published days whose source files are looked at again; 0 looks at none.
    pub lookback: u32,
    /// The time after the end of a cycle from which it is final.
    pub time_to_final: TimeDelta,
    /// True if sync mode, format and partitioning may differ from what is published.
    pub accept_change: bool,
    /// True if columns may differ from what is published so that receivers break.
    pub accept_schema: bool,
    /// The audits, as `name` or `table.name`, that do not keep a cycle from being published.
    pub accept_audits: Vec<String>,
}

impl Default for RunRequest {
    fn default() -> Self {
        Self {
            definitions: Vec::new(),
            export: ExportTables::default(),
            selection: CycleSelection::Due,
            rerun: false,
            parameters: BTreeMap::new(),
            format: FileFormat::Parquet,
            target_file_size: None,
            jobs: 1,
            max_cycles: None,
            max_catch_up: MAX_CATCH_UP,
            catches_up_in_rounds: false,
            max_rejects: MaxRejects::default(),
            max_misplaced: MaxMisplaced::default(),
            max_shrink: 50,
            allow_shrink: false,
            allow_empty: false,
            ready_timeout: None,
            publish_unready: false,
            lookback: 0,
            time_to_final: TimeDelta::zero(),
            accept_change: false,
            accept_schema: false,
            accept_audits: Vec::new(),
        }
    }
}

impl RunRequest {
    /// Returns the time from which a cycle is final: late files make no new revision of it any more. Returns
    /// `None` if none are looked for.
    pub(super) fn final_after(&self, cycle: Cycle) -> Option<DateTime<Utc>> {
        let lookback = TimeDelta::days(self.lookback.into());
        let wait = self.time_to_final.min(lookback);
        (self.lookback > 0).then(|| cycle.end() + wait)
    }

    /// Returns true if an audit of a table does not keep a cycle from being published.
    pub(super) fn accepts(&self, definition: &Definition, audit: &str) -> bool {
        let mut accepted = self.accept_audits.iter();
        accepted.any(|accepted| names_audit(accepted, definition, audit))
    }

    /// Returns the rule about missing source files for a table and cycle. `history` is that of the table.
    pub(super) fn await_rule(
        &self,
        definition: &Definition,
        cycle: Cycle,
        history: &History,
        now: DateTime<Utc>,
    ) -> AwaitRule {
        let is_over = self
            .ready_timeout
            .is_some_and(|timeout| now - cycle.end() >= timeout);
        AwaitRule {
            cycle,
            sync_mode: definition.sync_mode,
            published_before: history.newest().is_some(),
            allow_empty: self.allow_empty || definition.allow_empty,
            not_ready: match self.publish_unready {
                _ if !is_over => NotReady::Await,
                true => NotReady::Publish,
                false => NotReady::Fail,
            },
        }
    }
}

/// Returns true if `given` is the name of an audit of a table, with the table in front of it or without.
pub(super) fn names_audit(given: &str, definition: &Definition, audit: &str) -> bool {
    let of_table = given
        .strip_prefix(definition.table.as_str())
        .and_then(|rest| rest.strip_prefix('.'));
    given == audit || of_table == Some(audit)
}

/// Selects the definitions called `tables`, or all if `tables` is empty.
///
/// # Errors
/// Fails with one complaint for each table that has no definition.
pub fn pick(definitions: Vec<Definition>, tables: &[String]) -> Result<Vec<Definition>> {
    let known: BTreeSet<&str> = definitions.iter().map(|d| d.table.as_str()).collect();
    let unknown: Vec<Error> = tables
        .iter()
        .filter(|table| !known.contains(table.as_str()))
        .map(|table| {
            let names: Vec<&str> = known.iter().copied().collect();
            Error::invalid(format!("there is no definition of a table `{table}`"))
                .with_hint(format!("the tables are {}", names.join(", ")))
        })
        .collect();
    Error::all(unknown)?;
    Ok(definitions
        .into_iter()
        .filter(|d| tables.is_empty() || tables.iter().any(|table| table == d.table.as_str()))
        .collect())
}

/// Parses a parameter, `name=value`.
pub fn parameter(text: &str) -> Result<(String, String)> {
    let wrong = || {
        Error::invalid(format!("`{text}` is not a parameter"))
            .with_hint("write it as name=value, for example site=example.com")
    };
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let identifier: TableName = name.parse().map_err(|_| wrong())?;
    Ok((identifier.into(), value.to_owned()))
}
