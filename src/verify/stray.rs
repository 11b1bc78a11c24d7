//! What is under `data/`: the folders of tables, and whatever else should not be there.

use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::Destination;
use crate::verify::report::{Finding, Kind};

/// The first level of `data/`.
pub struct UnderData {
    pub tables: Vec<TableName>,
    /// Objects in no folder of a table.
    pub strays: Vec<Finding>,
}

/// Lists the first level, and whatever is in folders that no table can have.
pub async fn look(destination: &Destination) -> Result<UnderData> {
    let data = layout::data_folder();
    let listing = destination
        .object_store()
        .list_with_delimiter(Some(&destination.absolute(&data)))
        .await
        .map_err(|error| Error::store("list", format!("{destination}/{data}"), error))?;
    let mut found = UnderData {
        tables: Vec::new(),
        strays: Vec::new(),
    };
    let stray = |table: &str, key: String| Finding {
        table: table.to_owned(),
        cycle: None,
        key,
        kind: Kind::Extra,
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
