//! The clauses by which each dialect reads files of a format: one constant per format.

use super::duckdb;
use super::table::DdlTable;
use crate::format::FileFormat;

/// The clauses of one format.
pub(super) struct FormatClauses {
    /// Athena: row format and storage, each line with its end.
    pub athena_storage: &'static str,
    /// BigQuery: the value of `format`.
    pub bigquery_format: &'static str,
    /// BigQuery: another option of external tables.
    pub bigquery_option: &'static str,
    /// DuckDB: the function that reads files.
    pub duckdb_function: &'static str,
    /// DuckDB: the options of that function.
    pub duckdb_options: fn(&DdlTable) -> Vec<String>,
    /// Snowflake: the name of the file format.
    pub snowflake_name: &'static str,
    /// Snowflake: the options of the file format.
    pub snowflake_options: &'static str,
    /// Spark: the data source with its options, each line with its end.
    pub spark_source: &'static str,
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
    duckdb_options: duckdb::json_options,
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
    duckdb_options: |_| vec!["union_by_name = true".to_owned()],
    snowflake_name: "DAYPORT_PARQUET",
    // Makes lists arrays, instead of objects of Parquet's inner groups.
    snowflake_options: "TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE",
    spark_source: "USING parquet\n",
};
