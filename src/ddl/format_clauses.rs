//! The clauses by which each dialect reads the files of a format: one constant for each format.

use crate::format::FileFormat;

/// The clauses of one format.
pub(super) struct FormatClauses {
    /// The row format and storage of Athena; each line has its end.
    pub(super) athena_storage: &'static str,
    /// The value of BigQuery's option `format`.
    pub(super) bigquery_format: &'static str,
    /// One more option of BigQuery's external tables.
    pub(super) bigquery_option: &'static str,
    /// The function of DuckDB that reads files.
    pub(super) duckdb_function: &'static str,
    /// The first option of that function.
    pub(super) duckdb_option: &'static str,
    /// True if that function must be given the columns.
    pub(super) duckdb_needs_columns: bool,
    /// The name of Snowflake's file format.
    pub(super) snowflake_name: &'static str,
    /// The options of Snowflake's file format.
    pub(super) snowflake_options: &'static str,
    /// The data source of Spark with its options; each line has its end.
    pub(super) spark_source: &'static str,
}

/// Returns the clauses of a format.
pub(super) fn clauses(format: FileFormat) -> &'static FormatClauses {
    match format {
        FileFormat::Json => &JSON,
        FileFormat::Parquet => &PARQUET,
    }
}

const JSON: FormatClauses = FormatClauses {
    athena_storage: "\
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('case.insensitive' = 'true', 'ignore.malformed.json' = 'false')
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
",
    bigquery_format: "NEWLINE_DELIMITED_JSON",
    bigquery_option: "compression = 'GZIP'",
    duckdb_function: "read_json",
    duckdb_option: "format = 'newline_delimited'",
    duckdb_needs_columns: true,
    snowflake_name: "DAYPORT_JSON",
    snowflake_options: "TYPE = JSON COMPRESSION = GZIP",
    // A line that does not match the schema fails the query, instead of becoming NULLs.
    spark_source: "USING json\nOPTIONS (mode 'FAILFAST')\n",
};

const PARQUET: FormatClauses = FormatClauses {
    athena_storage: "STORED AS PARQUET\n",
    bigquery_format: "PARQUET",
    // Makes a list an array, instead of a record with an array of records.
    bigquery_option: "enable_list_inference = true",
    duckdb_function: "read_parquet",
    duckdb_option: "union_by_name = true",
    duckdb_needs_columns: false,
    snowflake_name: "DAYPORT_PARQUET",
    // Makes lists arrays, instead of objects of Parquet's inner groups.
    snowflake_options: "TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE",
    spark_source: "USING parquet\n",
};
