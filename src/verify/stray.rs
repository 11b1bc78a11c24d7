//! Lists `data/`: the folders of tables, and the objects that belong to no table.

use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::Destination;
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
    let listing = destination
        .object_store()
        .list_with_delimiter(Some(&destination.absolute(&data)))
        .await
        .map_err(|error| Error::store("list", format!("{destination}/{data}"), error))?;
    let mut found = DataFolder {
        tables: Vec::new(),
        strays: Vec::new(),
    };
    let stray = |table: &str, key: String| Finding {
        table: table.to_owned(),
        cycle: None,
        key,
        kind: FindingKind::Extra,
        detail: "it is in no folder of a table".to_owned(),
    };
    for object in &listing.objects {
        let name = object.location.filename().unwrap_or_default();
        found
            .strays
            .push(stray("", data.clone().join(name).to_string()));
    }
    for folder in &listing.common_prefixes {
        let name = folder.filename().unwrap_or_default();
        if let Ok(table) = name.parse() {
            found.tables.push(table);
            continue;
        }
        for object in destination.list(&data.clone().join(name)).await? {
            found.strays.push(stray(name, object.location.to_string()));
        }
    }
    Ok(found)
}
