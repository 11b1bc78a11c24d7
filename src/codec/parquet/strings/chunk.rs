//! A column chunk: its pages in memory, and their metadata.

use std::collections::BTreeSet;

use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, Type};
use parquet::column::page::{CompressedPage, Page};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::page_scratch::PageScratch;
use super::pages::Pages;
use super::statistics::{lower_bound, statistics, upper_bound};

/// The properties of a column's pages and metadata.
#[derive(Debug)]
struct ChunkSettings {
    compression: Compression,
    statistics: EnabledStatistics,
    page_header_statistics: bool,
    /// The maximum bytes of a bound in statistics.
    max_statistics_len: Option<usize>,
    /// The maximum bytes of a bound in the column index.
    max_index_len: Option<usize>,
}

/// An open column chunk.
pub(super) struct ColumnChunk {
    descriptor: ColumnDescPtr,
    settings: ChunkSettings,
    pages: Pages,
    /// The size of the dictionary page, the first in the file but ready last; 0 until it is.
    dictionary_bytes: usize,
    rows: u64,
    nulls: u64,
    /// The uncompressed size, including the headers of the pages.
    uncompressed: usize,
    encodings: BTreeSet<Encoding>,
    page_encodings: Vec<PageEncodingStats>,
    value_bytes: Option<usize>,
    levels: Option<LevelHistogram>,
    /// The minimum and the maximum.
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    column_index: ColumnIndexBuilder,
    offset_index: Option<OffsetIndexBuilder>,
    order: PageOrder,
}

/// The order of the bounds of the pages so far.
#[derive(Debug)]
struct PageOrder {
    ascending: bool,
    descending: bool,
    /// The bounds of the last page that had any.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

/// The rows of a data page that is not encoded yet.
pub(super) struct DataPage<'a> {
    pub(super) rows: usize,
    pub(super) nulls: usize,
    /// The number of rows at each definition level; empty if there is only one level.
    pub(super) levels: &'a [i64],
    pub(super) bounds: Option<(&'a [u8], &'a [u8])>,
}

impl ColumnChunk {
    /// Opens a chunk of the column.
    pub(super) fn new(descriptor: ColumnDescPtr, properties: &WriterProperties) -> Self {
        let path = descriptor.path();
        let settings = ChunkSettings {
            compression: properties.compression(path),
            statistics: properties.statistics_enabled(path),
            page_header_statistics: properties.write_page_header_statistics(path),
            max_statistics_len: properties.statistics_truncate_length(),
            max_index_len: properties.column_index_truncate_length(),
        };
        let mut column_index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
        if settings.statistics != EnabledStatistics::Page {
            column_index.to_invalid();
        }
        let with_levels = settings.statistics != EnabledStatistics::None;
        let offset_index = !properties.offset_index_disabled();
        Self {
            pages: Pages::default(),
            dictionary_bytes: 0,
            rows: 0,
            nulls: 0,
            uncompressed: 0,
            // The encoding of the levels.
            encodings: BTreeSet::from([Encoding::RLE]),
            page_encodings: Vec::new(),
            value_bytes: None,
            levels: LevelHistogram::try_new(descriptor.max_def_level()).filter(|_| with_levels),
            bounds: None,
            column_index,
            offset_index: offset_index.then(OffsetIndexBuilder::new),
            order: PageOrder {
                ascending: true,
                descending: true,
                last: None,
            },
            descriptor,
            settings,
        }
    }

    /// Returns the bytes of the pages so far.
    pub(super) fn bytes(&self) -> usize {
        self.pages.bytes()
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.pages.memory()
    }

    /// Adds the bounds of a data page to the indexes, before [`ColumnChunk::add_data_page`]; returns
    /// the statistics of its header, if it has any.
    pub(super) fn add_page_bounds(&mut self, page: &DataPage<'_>) -> Option<Statistics> {
        self.rows += page.rows as u64;
        self.nulls += page.nulls as u64;
        let levels = self.levels.as_mut().map(|all| {
            for (level, count) in page.levels.iter().enumerate() {
                all.increment_by(level as i16, *count);
            }
            LevelHistogram::from(page.levels.to_vec())
        });
        if let Some((min, max)) = page.bounds {
            let (chunk_min, chunk_max) = self
                .bounds
                .get_or_insert_with(|| (min.to_vec(), max.to_vec()));
            if min < chunk_min.as_slice() {
                *chunk_min = min.to_vec();
            }
            if max > chunk_max.as_slice() {
                *chunk_max = max.to_vec();
            }
        }
        let bounds = page
            .bounds
            .filter(|_| self.settings.statistics == EnabledStatistics::Page);
        if self.column_index.valid() {
            let nulls = page.nulls as i64;
            match bounds {
                _ if page.rows == page.nulls => {
                    self.column_index
                        .append(true, Vec::new(), Vec::new(), nulls);
                }
                Some((min, max)) => {
                    self.order.add(min, max);
                    let max_len = self.settings.max_index_len;
                    let (lower, _) = lower_bound(min, max_len);
                    let (upper, _) = upper_bound(max, max_len);
                    self.column_index.append(false, lower, upper, nulls);
                }
                None => self.column_index.to_invalid(),
            }
        }
        self.column_index.append_histograms(&None, &levels);
        let max_len = self.settings.max_statistics_len;
        let in_header = bounds.filter(|_| self.settings.page_header_statistics);
        in_header.map(|bounds| statistics(Some(bounds), page.nulls as u64, max_len))
    }

    /// Adds a data page of `rows` rows, encoded in `raw`, whose values have `value_bytes`.
    pub(super) fn add_data_page(
        &mut self,
        scratch: &mut PageScratch,
        raw: &[u8],
        rows: usize,
        encoding: Encoding,
        value_bytes: usize,
        statistics: Option<Statistics>,
    ) -> Result<()> {
        *self.value_bytes.get_or_insert(0) += value_bytes;
        self.encodings.insert(encoding);
        match self.page_encodings.last_mut() {
            Some(last) if last.encoding == encoding => last.count += 1,
            _ => self.page_encodings.push(PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding,
                count: 1,
            }),
        }
        let compressed = scratch.compress(raw, self.settings.compression)?;
        let data_page = Page::DataPage {
            buf: compressed.clone(),
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics,
        };
        let offset = self.pages.bytes();
        let added = self.pages.push(CompressedPage::new(data_page, raw.len()))?;
        self.uncompressed += added.uncompressed;
        scratch.return_page(compressed);
        if let Some(index) = &mut self.offset_index {
            index.append_row_count(rows as i64);
            index.append_unencoded_byte_array_data_bytes(Some(value_bytes as i64));
            index.append_offset_and_size(offset as i64, added.compressed as i32);
        }
        Ok(())
    }

    /// Adds the dictionary page with its number of values; at most once.
    pub(super) fn add_dictionary(
        &mut self,
        scratch: &mut PageScratch,
        (values, count): (&[u8], usize),
    ) -> Result<()> {
        self.encodings.insert(Encoding::PLAIN);
        let of_dictionary = PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        };
        self.page_encodings.insert(0, of_dictionary);
        let compressed = scratch.compress(values, self.settings.compression)?;
        let dictionary_page = Page::DictionaryPage {
            buf: compressed.clone(),
            num_values: count as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let page = CompressedPage::new(dictionary_page, values.len());
        let added = self.pages.push_front(page)?;
        self.uncompressed += added.uncompressed;
        self.dictionary_bytes = added.compressed;
        scratch.return_page(compressed);
        Ok(())
    }

    /// Returns the pages of the chunk, and its metadata for the row group.
    pub(super) fn close(self) -> Result<(Pages, ColumnCloseResult)> {
        let bytes = self.bytes();
        let mut metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(self.settings.compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(self.encodings.iter()))
            .set_page_encoding_stats(self.page_encodings)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(0);
        if self.settings.statistics != EnabledStatistics::None {
            let max_len = self.settings.max_statistics_len;
            let bounds = self
                .bounds
                .as_ref()
                .map(|(min, max)| (min.as_slice(), max.as_slice()));
            metadata = metadata
                .set_statistics(statistics(bounds, self.nulls, max_len))
                .set_unencoded_byte_array_data_bytes(self.value_bytes.map(|bytes| bytes as i64))
                .set_definition_level_histogram(self.levels);
        }
        let mut column_index = self.column_index;
        column_index.set_boundary_order(self.order.boundary_order());
        let built_index = column_index.valid().then(|| column_index.build());
        let without_dictionary = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: built_index.transpose()?,
            offset_index: self.offset_index.map(OffsetIndexBuilder::build),
        };
        let closed = without_dictionary.update_dictionary_location(self.dictionary_bytes)?;
        Ok((self.pages, closed))
    }
}

impl PageOrder {
    fn add(&mut self, min: &[u8], max: &[u8]) {
        if let Some((last_min, last_max)) = &self.last {
            self.ascending &= last_min.as_slice() <= min && last_max.as_slice() <= max;
            self.descending &= last_min.as_slice() >= min && last_max.as_slice() >= max;
        }
        self.last = Some((min.to_vec(), max.to_vec()));
    }

    fn boundary_order(&self) -> BoundaryOrder {
        match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}
