//! Loads the sources and definitions that are there, for a query, which also works without them.

use std::path::Path;

use crate::catalog::Sources;
use crate::cli::shared::{DEFAULT_SQL, EngineArguments};
use crate::definition::{self, Definition};
use crate::error::{Error, Result};
use crate::store::Location;

/// The sources and definitions that a query can refer to.
#[derive(Debug)]
pub(super) struct Available {
    pub sources: Sources,
    pub definitions: Vec<Definition>,
    /// The reason why there are none of either although there are files of some.
    pub left_out: Option<Error>,
}

/// Loads what is below the folder of the definitions. The default folder may be missing.
///
/// Without `--from`, files that cannot be used are left out: a query of what is published, or of nothing,
/// does without them.
///
/// # Errors
/// [`Error::invalid`] if a folder that the caller named is missing, or with `--from`, if a file is wrong.
pub(super) fn load_available(
    arguments: &EngineArguments,
    source_root: Option<&Location>,
) -> Result<Available> {
    let folder = arguments.sql.as_path();
    let is_missing = matches!(folder.try_exists(), Ok(false));
    if is_missing && folder == Path::new(DEFAULT_SQL) {
        return Ok(nothing(None));
    }
    if is_missing {
        // Says how to name another one.
        definition::load_any(folder)?;
    }
    let load = || {
        let sources = Sources::load_any(&folder.join(definition::SOURCES))?;
        sources.locations(source_root.map(Location::url))?;
        Ok((sources, definition::load_any(folder)?))
    };
    match load() {
        Ok((sources, definitions)) => Ok(Available {
            sources,
            definitions,
            left_out: None,
        }),
        Err(error) if source_root.is_none() => Ok(nothing(Some(error))),
        Err(error) => Err(error),
    }
}

fn nothing(left_out: Option<Error>) -> Available {
    Available {
        sources: Sources::none(),
        definitions: Vec::new(),
        left_out,
    }
}
