//! Finds out whether the log of a table says of a cycle what its manifests say.

use std::collections::BTreeMap;

use crate::cycle::Cycle;
use crate::delivery::{InspectedTable, PendingWork, inspect};
use crate::error::{ErrorKind, Result};
use crate::layout::TableName;
use crate::store::Destination;

/// What the log of a table says of one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    /// No work is pending on the cycle, and no file of it is lost.
    Settled,
    /// A commit of the cycle is pending, or files of it are lost.
    Unsettled,
    /// The log cannot be read.
    Unknown,
}

/// The state of tables that the run has not delivered, each inspected once.
#[derive(Default)]
pub(super) struct InspectedTables(BTreeMap<TableName, Option<InspectedTable>>);

impl InspectedTables {
    /// Returns what the log of a table says of a cycle.
    ///
    /// # Errors
    /// Fails if the store is unavailable.
    pub(super) async fn state(
        &mut self,
        destination: &Destination,
        table: &TableName,
        cycle: Cycle,
    ) -> Result<LogState> {
        if !self.0.contains_key(table) {
            let inspected = match inspect(destination, table).await {
                Ok(inspected) => Some(inspected),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(_) => None,
            };
            self.0.insert(table.clone(), inspected);
        }
        let Some(Some(inspected)) = self.0.get(table) else {
            return Ok(LogState::Unknown);
        };
        let is_lost = inspected.history.state.needs_republish.contains(&cycle);
        let is_pending = match &inspected.pending {
            PendingWork::Publication(entry) => entry.cycle() == cycle,
            PendingWork::Deletes(_) | PendingWork::None => false,
        };
        Ok(match is_lost || is_pending {
            true => LogState::Unsettled,
            false => LogState::Settled,
        })
    }
}
