//! Lists `data/`: the folders of tables, and the objects that belong to no table.

use object_store::path::Path;

use crate::error::Result;
use crate::layout::{self, TableName};
use crate::store::{Destination, shown};
use crate::verify::report::{Finding, FindingKind};

/// The content of `data/`.
pub(super) struct DataFolder {
    /// The tables of its folders.
    pub tables: Vec<TableName>,
    /// The objects in no folder of a table.
    pub strays: Vec<Finding>,
}

/// Lists the first level of `data/`, and the objects in folders that no table can have.
pub(super) async fn list(destination: &Destination) -> Result<DataFolder> {
    let data = layout::data_folder();
    let listing = destination.list_level(&data).await?;
    let mut found = DataFolder {
        tables: Vec::new(),
        strays: Vec::new(),
    };
    let stray = |table: &str, key: &Path| Finding {
        table: table.to_owned(),
        cycle: None,
        key: shown(key.as_ref()).into_owned(),
        kind: FindingKind::Extra,
        detail: "it is in no folder of a table".to_owned(),
    };
    for object in &listing.objects {
        found.strays.push(stray("", &object.location));
    }
    for folder in &listing.common_prefixes {
        let name = shown(folder.filename().unwrap_or_default());
        if let Ok(table) = name.parse() {
            found.tables.push(table);
            continue;
        }
        for object in destination.list(folder).await? {
            found.strays.push(stray(&name, &object.location));
        }
    }
    Ok(found)
}
