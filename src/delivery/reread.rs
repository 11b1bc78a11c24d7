//! Reads stored records, and reads those again that are not as they were written.

use object_store::path::Path;

use crate::error::{ErrorKind, Result};
use crate::store::Destination;

/// Reads and parses the record at `key`. Returns `None` if it does not exist.
///
/// A record that does not parse is read once more: a byte may have been flipped on the way.
///
/// # Errors
/// Fails if the store does, or with the error of `parse` if the record is damaged where it is stored.
pub(crate) async fn read<T>(
    destination: &Destination,
    key: &Path,
    parse: impl Fn(&[u8]) -> Result<T>,
) -> Result<Option<T>> {
    let Some(text) = destination.get(key).await? else {
        return Ok(None);
    };
    match parse(&text) {
        Err(error) if error.kind() == ErrorKind::Data => {}
        parsed => return parsed.map(Some),
    }
    let again = destination.get(key).await?;
    again.map(|text| parse(&text)).transpose()
}
