//! Defines what a caller of a trace asks for.

use std::collections::BTreeMap;

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::Engine;
use crate::layout::TableName;
use crate::store::Destination;

/// The event to trace, and where to search for it.
pub(crate) struct TraceRequest<'a> {
    pub engine: &'a Engine,
    /// The definitions that may export the event; empty for a receiver, who has none.
    pub definitions: &'a [&'a Definition],
    pub parameters: BTreeMap<String, String>,
    pub cycle: Cycle,
    /// The column that holds the event's id.
    pub column: &'a str,
    /// The event's id.
    pub event: &'a str,
    pub destination: Option<&'a Destination>,
    /// The published tables to search besides those of the definitions.
    pub tables: Vec<TableName>,
}
