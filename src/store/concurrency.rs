//! The limits of concurrent store calls, in one place.

/// The maximum numbers of store calls, or of units of work that make them one after another, that are
/// outstanding at the same time. Limits nest: tables times what is read for each of them.
///
/// They bound connections and memory, not the rate: a store that throttles is retried with backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreConcurrency {
    /// Parts of one upload. Each holds its bytes (8 MiB and more) until it is uploaded.
    pub parts_of_an_upload: usize,
    /// Finished files whose last parts are uploaded while the writer of late rows writes the next one.
    pub files_being_finished: usize,
    /// Uploads of one entry that are completed: a small request each, of which a table has hundreds.
    pub completions: usize,
    /// Manifests of one table: small objects, one for each of its days.
    pub manifest_reads: usize,
    /// Manifests of one table, where `tables_with_manifests` tables are read as well.
    pub manifest_reads_of_each_table: usize,
    /// Tables of which the log and the names of manifests are listed: a few small requests each.
    pub tables: usize,
    /// Tables of which all manifests or all data files are listed or read.
    pub tables_with_manifests: usize,
    /// Partitions of a table whose files are listed before new ones get their numbers.
    pub partition_listings: usize,
    /// Listings of the folders of one source.
    pub source_listings: usize,
    /// Files of a source that a task opens before the one that it decompresses is done. Each is a GET
    /// whose response waits.
    pub source_files_ahead: usize,
    /// Files of a source whose size and ETag are compared with the file list snapshot: one HEAD each.
    pub source_heads: usize,
    /// Parquet files whose footers are read to plan a scan: one or two small requests each.
    pub parquet_footers: usize,
    /// Files that a search reads. Each is held in memory with its compressed size.
    pub searched_files: usize,
    /// Ranges of one file that a verification fetches ahead of decoding, 4 MiB each.
    pub verified_ranges_ahead: usize,
}

/// The limits that all commands use. They are constants and not settings: nobody had to change one.
pub const CONCURRENCY: StoreConcurrency = StoreConcurrency {
    parts_of_an_upload: 4,
    files_being_finished: 8,
    completions: 32,
    manifest_reads: 32,
    manifest_reads_of_each_table: 16,
    tables: 16,
    tables_with_manifests: 8,
    partition_listings: 32,
    source_listings: 16,
    source_files_ahead: 1,
    source_heads: 32,
    parquet_footers: 32,
    searched_files: 4,
    verified_ranges_ahead: 2,
};
