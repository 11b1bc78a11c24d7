//! `OPTIONS` of a `COPY`, as plain data, and the encoding that they describe.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::TableOptions;
use serde::{Deserialize, Serialize};

use crate::codec::deflate::{GzipLevel, GzipPool};
use crate::format::{FileEncoding, FileFormat};
use crate::stage::format_binding::{FormatDefaults, FormatOptions, binding};

/// The format of a table's files and its options.
///
/// Serialized with the plan for other machines, which make the same [`FileEncoding`] of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodingOptions {
    format: FileFormat,
    /// All options, including our defaults.
    options: FormatOptions,
}

impl EncodingOptions {
    /// Checks `given` and adds `defaults`; returns also the encoding.
    ///
    /// # Errors
    /// Fails on an unknown option or value.
    pub(super) fn new(
        format: FileFormat,
        given: HashMap<String, String>,
        defaults: FormatDefaults<'_>,
    ) -> Result<(Self, Arc<dyn FileEncoding>)> {
        let mut options = given.into_iter().collect();
        let encoding = (binding(format).encoding)(&mut options, defaults)?;
        Ok((Self { format, options }, encoding))
    }

    /// Returns the encoding, given the session's options for tables.
    pub fn encoding(&self, tables: TableOptions) -> Result<Arc<dyn FileEncoding>> {
        let defaults = FormatDefaults {
            gzip: &GzipPool::new(GzipLevel::default()),
            tables,
        };
        (binding(self.format).encoding)(&mut self.options.clone(), defaults)
    }
}
