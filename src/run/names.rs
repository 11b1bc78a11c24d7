//! Checks that the destination can have a table's own objects, before anything is done.

use object_store::path::Path;

use crate::error::Result;
use crate::layout::{self, FileFormat, ManifestName, Partition, Shard};
use crate::run::context::Delivery;
use crate::store::{KeyFaultCause, key_fault};

/// Checks that the keys of the log, the manifest, the staged files and the data are not too long for
/// the destination.
///
/// # Errors
/// [`Error::data`](crate::error::Error::data) if one is: the name of the table or the prefix is too
/// long.
pub(super) fn require_keys(delivery: &Delivery<'_>) -> Result<()> {
    let (table, destination) = (&delivery.definition.table, &delivery.context.destination);
    let manifest = ManifestName {
        table: table.clone(),
        cycle: delivery.cycle,
        revision: 0,
    };
    let shard = Shard {
        table: table.clone(),
        partition: Partition::default(),
        number: 0,
        format: FileFormat::Parquet,
    };
    let keys: [Path; 4] = [
        destination.temporary_key(&layout::log_entry(table, 1)),
        destination.temporary_key(&manifest.path()),
        destination.temporary_key(&layout::staging_file(&delivery.staging(), 0)),
        shard.path(),
    ];
    for key in &keys {
        match destination.key_fault(key) {
            // Names of files are known once their rows are.
            Some(fault) if fault.cause != KeyFaultCause::InTheWay => {
                return Err(key_fault(key, &fault));
            }
            _ => {}
        }
    }
    Ok(())
}
