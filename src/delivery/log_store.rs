//! The log in the store: which entry is the newest, and what it says.

use object_store::ObjectMeta;

use crate::delivery::log::LogEntry;
use crate::delivery::{entry_text, reread};
use crate::error::Result;
use crate::layout::{self, TableName};
use crate::store::Destination;

/// Reads one entry. Returns `None` if it does not exist.
///
/// # Errors
/// As [`entry_text::parse`], or if the store fails.
pub(super) async fn read(
    destination: &Destination,
    table: &TableName,
    sequence: u64,
) -> Result<Option<LogEntry>> {
    let key = layout::log_entry(table, sequence);
    let parse = |text: &[u8]| entry_text::parse(table, sequence, text);
    reread::read(destination, &key, parse).await
}

/// Reads the newest entry. Returns `None` if the table has no log yet.
pub(crate) async fn newest(
    destination: &Destination,
    table: &TableName,
) -> Result<Option<LogEntry>> {
    let (newest, _) = newest_and_foreign(destination, table).await?;
    Ok(newest)
}

/// Reads the newest entry as [`newest`] does. Returns it with the keys of foreign objects whose numbers
/// are beyond those of entries.
pub(super) async fn newest_and_foreign(
    destination: &Destination,
    table: &TableName,
) -> Result<(Option<LogEntry>, Vec<String>)> {
    let objects = destination.list(&layout::log_folder(table)).await?;
    let foreign = beyond_range(&objects);
    let sequences = objects
        .iter()
        .filter_map(|object| layout::parse_log_entry(&object.location));
    match sequences.map(|(_, sequence)| sequence).max() {
        Some(sequence) => Ok((read(destination, table, sequence).await?, foreign)),
        None => Ok((None, foreign)),
    }
}

/// Returns the keys of the foreign objects in a listing whose numbers no record has.
pub(super) fn beyond_range(objects: &[ObjectMeta]) -> Vec<String> {
    let keys = objects.iter().map(|object| &object.location);
    keys.filter(|key| layout::is_beyond_range(key))
        .map(ToString::to_string)
        .collect()
}
