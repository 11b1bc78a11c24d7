//! Values of Parquet files: kept exactly, or an error with the file, the row and the column.

use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType as ParquetType, Int96, Int96Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};

use crate::catalog::tests::*;
use crate::engine_error::from_datafusion;
use crate::scan::parquet::source::{with_checks, without_checks};

/// Declares a source with an `id` and a column `v` of a type.
fn declare(declared: &str) -> World {
    let sql = format!(
        "CREATE EXTERNAL TABLE t (id BIGINT, v {declared}) STORED AS PARQUET LOCATION 't/'"
    );
    World::new().declare("t", &sql)
}

/// Writes a file whose row groups have ten rows, with `id` 0, 1, ….
fn write(world: &World, v: &ArrayRef) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..v.len() as i64));
    let columns = [("id", ids, true), ("v", Arc::clone(v), true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(10))
        .build();
    let file = File::create(new_file(world)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn new_file(world: &World) -> PathBuf {
    let path = world.path("raw/t/a.parquet");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

/// Returns the values of `v` as text.
async fn read(world: &World) -> Vec<String> {
    let answer = world.query("SELECT v FROM t").await.unwrap();
    answer.rows()
}

/// Returns the error of reading `v`, without its hint and without the name of the file.
async fn refusal(world: &World) -> String {
    let error = world.error("SELECT v FROM t").await;
    let line = error.lines().next().unwrap();
    let named = line.strip_prefix("error: source file `file:///raw/t/a.parquet`");
    named.unwrap_or_else(|| panic!("{error}")).to_owned()
}

fn doubles(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn bytes(values: &[&[u8]]) -> ArrayRef {
    Arc::new(BinaryArray::from(values.to_vec()))
}

fn micros(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()))
}

fn nanos(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(values.to_vec()))
}

fn decimals(values: &[i128]) -> ArrayRef {
    let array = Decimal128Array::from(values.to_vec());
    Arc::new(array.with_precision_and_scale(10, 2).unwrap())
}

fn object(name: &str, values: ArrayRef) -> ArrayRef {
    let field = Field::new(name, values.data_type().clone(), true);
    Arc::new(StructArray::from(vec![(Arc::new(field), values)]))
}

/// Returns lists of one element each.
fn lists(values: ArrayRef) -> ArrayRef {
    let item = Field::new("item", values.data_type().clone(), true);
    let offsets = OffsetBuffer::from_lengths(vec![1; values.len()]);
    Arc::new(ListArray::new(Arc::new(item), offsets, values, None))
}

/// 9999-12-31T23:59:59.999999, in microseconds since 1970.
const LAST: i64 = 253_402_300_799_999_999;

#[tokio::test]
async fn values_that_the_declared_type_has_are_kept() {
    let cases: Vec<(ArrayRef, &str, &[&str])> = vec![
        (doubles(&[1.0, -2.0]), "BIGINT", &["-2", "1"]),
        (doubles(&[0.1]), "DECIMAL(10, 2)", &["0.10"]),
        (doubles(&[0.1]), "REAL", &["0.1"]),
        (integers(&[1 << 53]), "DOUBLE", &["9007199254740992.0"]),
        (decimals(&[1250]), "DECIMAL(10, 1)", &["12.5"]),
        (decimals(&[1200]), "BIGINT", &["12"]),
        (texts(&["7.0"]), "BIGINT", &["7"]),
        (texts(&["2026-01-15"]), "DATE", &["2026-01-15"]),
        (integers(&[7]), "VARCHAR", &["7"]),
        (bytes(&["é".as_bytes()]), "VARCHAR", &["é"]),
        (lists(bytes(&[b"x"])), "VARCHAR[]", &["[x]"]),
        (
            micros(&[LAST]),
            "TIMESTAMP(6)",
            &["9999-12-31T23:59:59.999999"],
        ),
        (
            nanos(&[-1]),
            "TIMESTAMP(6)",
            &["1969-12-31T23:59:59.999999"],
        ),
        (
            integers(&[1_768_471_200]),
            "TIMESTAMP(0)",
            &["2026-01-15T10:00:00"],
        ),
        (micros(&[-86_400_000_000]), "DATE", &["1969-12-31"]),
        (
            object("x", doubles(&[2.0])),
            "STRUCT<x BIGINT, y INT>",
            &["{x: 2, y: }"],
        ),
    ];
    for (v, declared, expected) in cases {
        let world = declare(declared);
        write(&world, &v);
        assert_eq!(
            read(&world).await,
            expected,
            "{} as {declared}",
            v.data_type()
        );
    }
}

#[tokio::test]
async fn values_that_the_declared_type_does_not_have_are_errors() {
    let cases: Vec<(ArrayRef, &str, &str)> = vec![
        (
            doubles(&[1.0, 1.5]),
            "BIGINT",
            " row 2: column `v` holds a DOUBLE value that BIGINT cannot keep exactly",
        ),
        (
            doubles(&[0.125]),
            "DECIMAL(10, 2)",
            " row 1: column `v` holds a DOUBLE value that DECIMAL(10, 2) cannot keep exactly",
        ),
        (
            doubles(&[1e300]),
            "REAL",
            " row 1: column `v` holds a DOUBLE value that REAL cannot keep exactly",
        ),
        (
            integers(&[0, (1 << 53) + 1]),
            "DOUBLE",
            " row 2: column `v` holds a BIGINT value that DOUBLE cannot keep exactly",
        ),
        (
            decimals(&[1255]),
            "DECIMAL(10, 1)",
            " row 1: column `v` holds a DECIMAL(10, 2) value that DECIMAL(10, 1) cannot keep exactly",
        ),
        (
            texts(&["1", "1.5"]),
            "BIGINT",
            " row 2: column `v` holds a text that does not fit: the ",
        ),
        (
            bytes(&[b"ok", b"\xff"]),
            "VARCHAR",
            " row 2: column `v` holds bytes that are not UTF-8, but is declared VARCHAR",
        ),
        (
            lists(bytes(&[b"ok", b"\xff"])),
            "VARCHAR[]",
            " row 2: column `v` holds bytes that are not UTF-8, but is declared VARCHAR",
        ),
        (
            micros(&[0, LAST + 1]),
            "TIMESTAMP(6)",
            " row 2: column `v` holds a time outside the years 0001 to 9999",
        ),
        (
            micros(&[LAST]),
            "TIMESTAMP",
            " row 1: column `v` holds a time outside the years 1677 to 2262, which nanoseconds can count",
        ),
        (
            object("x", lists(micros(&[0, LAST + 1]))),
            "STRUCT<x TIMESTAMP(6)[]>",
            " row 2: column `v.x` holds a time outside the years 0001 to 9999",
        ),
        (
            Arc::new(Date32Array::from(vec![i32::MAX])),
            "DATE",
            " row 1: column `v` holds a time outside the years 0001 to 9999",
        ),
        (
            micros(&[1]),
            "DATE",
            " row 1: column `v` holds a time of day, which DATE cannot keep",
        ),
        (
            integers(&[1_768_471_200_000]),
            "TIMESTAMP(6)",
            " row 1: column `v` holds a number that is not a time from 2000 to 2100, counted in microseconds since 1970",
        ),
        (
            Arc::new(Int32Array::from(vec![Some(1), None])),
            "BIGINT NOT NULL",
            " row 2: column `v` is NULL, but declared NOT NULL",
        ),
    ];
    for (v, declared, expected) in cases {
        let world = declare(declared);
        write(&world, &v);
        let refusal = refusal(&world).await;
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[tokio::test]
async fn types_that_are_never_converted_are_errors() {
    let boolean: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let cases = [
        (
            integers(&[1]),
            "BOOLEAN",
            "is BIGINT in the file, which cannot be read as BOOLEAN",
        ),
        (
            boolean,
            "BIGINT",
            "is BOOLEAN in the file, which cannot be read as BIGINT",
        ),
        (
            micros(&[1]),
            "BIGINT",
            "is TIMESTAMP(6) in the file, which cannot be read as BIGINT",
        ),
        (
            lists(integers(&[1])),
            "BIGINT",
            "is BIGINT[] in the file, which cannot be read as BIGINT",
        ),
        (
            object("x", integers(&[1])),
            "STRUCT<y BIGINT>",
            "has none of the declared fields",
        ),
    ];
    for (v, declared, expected) in cases {
        let world = declare(declared);
        write(&world, &v);
        assert_eq!(refusal(&world).await, format!(": column `v` {expected}"));
    }
}

#[tokio::test]
async fn rows_are_numbered_in_the_file_also_after_skipped_row_groups() {
    let world = declare("BIGINT");
    let mut values = vec![1.0; 35];
    values[24] = 0.5;
    write(&world, &doubles(&values));
    let place = " row 25: column `v`";
    assert!(refusal(&world).await.starts_with(place));
    let error = world.error("SELECT v FROM t WHERE id >= 20").await;
    assert!(error.contains(place), "{error}");
    // Neither a row group that is not needed nor a column that is not used is looked at.
    let rows = world.query("SELECT v FROM t WHERE id < 5").await.unwrap();
    assert_eq!(rows.rows().len(), 5);
    let rows = world.query("SELECT id FROM t").await.unwrap();
    assert_eq!(rows.rows().len(), 35);
}

#[tokio::test]
async fn only_the_fields_of_a_struct_that_are_used_are_looked_at() {
    let world = declare("STRUCT<x BIGINT, y BIGINT>");
    let field = |name: &str| Arc::new(Field::new(name, DataType::Float64, true));
    let v = StructArray::from(vec![
        (field("x"), doubles(&[0.5])),
        (field("y"), doubles(&[2.0])),
    ]);
    write(&world, &(Arc::new(v) as ArrayRef));
    let rows = world.query("SELECT v['y'] FROM t").await.unwrap();
    assert_eq!(rows.rows(), ["2"]);
    let error = world.error("SELECT v['x'] FROM t").await;
    assert!(
        error.contains("row 1: column `v.x` holds a DOUBLE"),
        "{error}"
    );
    let error = world.error("SELECT v['y'] FROM t WHERE v['x'] = 0").await;
    assert!(error.contains("column `v.x`"), "{error}");
}

/// Statistics count nanoseconds, the condition microseconds.
#[tokio::test]
async fn conditions_skip_no_row_group_that_holds_a_row() {
    let world = declare("TIMESTAMP(6)");
    let values: Vec<i64> = (-20..20).map(|n| n * 1_000 + 999).collect();
    write(&world, &nanos(&values));
    for (condition, expected) in [
        ("v = '1969-12-31T23:59:59.999995'", 1),
        ("v <= '1969-12-31T23:59:59.999990'", 11),
        ("v < '1969-12-31T23:59:59.999990'", 10),
        ("v > '1970-01-01T00:00:00.000009'", 10),
        ("v >= '1970-01-01T00:00:00.000009'", 11),
        ("'1970-01-01T00:00:00.000009' <= v", 11),
    ] {
        let sql = format!("SELECT v FROM t WHERE {condition}");
        let answer = world.query(&sql).await.unwrap();
        assert_eq!(answer.rows().len(), expected, "{condition}");
    }
    let answer = world.query("SELECT v FROM t WHERE v >= '1970-01-01T00:00:00.000012'");
    assert_eq!(answer.await.unwrap().scans[0].rows_read, 10);
}

/// Writes a file with one column, which Arrow's writer would not write.
fn write_column<T: ParquetType>(world: &World, column: &str, values: &[T::T]) {
    let schema = parse_message_type(&format!("message m {{ {column}; }}")).unwrap();
    let file = File::create(new_file(world)).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let mut row_group = writer.next_row_group().unwrap();
    let mut column = row_group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    row_group.close().unwrap();
    writer.close().unwrap();
}

/// Writes Julian days and the nanoseconds of the day.
fn write_int96(world: &World, values: &[(u32, u64)]) {
    let values: Vec<Int96> = values
        .iter()
        .map(|(day, nanos)| Int96::from(vec![*nanos as u32, (*nanos >> 32) as u32, *day]))
        .collect();
    write_column::<Int96Type>(world, "required int96 v", &values);
}

#[tokio::test]
async fn int96_is_read_in_the_declared_unit() {
    let epoch = 2_440_588;
    let last_day = epoch + 2_932_896;
    for (declared, expected) in [
        ("TIMESTAMP(6)", "9999-12-31T03:00:00.000001"),
        ("TIMESTAMP(0)", "9999-12-31T03:00:00"),
    ] {
        let world = declare(declared);
        write_int96(&world, &[(last_day, 10_800_000_001_999)]);
        assert_eq!(read(&world).await, [expected]);
    }
    let world = declare("TIMESTAMP");
    write_int96(&world, &[(epoch, 7), (last_day, 0)]);
    let error = refusal(&world).await;
    assert!(
        error.starts_with(" row 2: column `v` holds a time outside the years 1677"),
        "{error}"
    );
    let world = declare("TIMESTAMP");
    write_int96(&world, &[(epoch, 7)]);
    assert_eq!(read(&world).await, ["1970-01-01T00:00:00.000000007"]);
    let world = declare("TIMESTAMP(6)");
    write_int96(&world, &[(u32::MAX / 2, 0)]);
    let error = refusal(&world).await;
    assert!(
        error.starts_with(" row 1: column `v` holds a time outside the years 0001"),
        "{error}"
    );
}

#[tokio::test]
async fn required_columns_and_fields_must_be_in_the_file() {
    let world = World::new().declare(
        "t",
        "CREATE EXTERNAL TABLE t (v BIGINT, w INT NOT NULL) STORED AS PARQUET LOCATION 't/'",
    );
    write(&world, &integers(&[1]));
    let error = world.error("SELECT * FROM t").await;
    assert!(
        error.starts_with(
            "error: source file `file:///raw/t/a.parquet`: column `w` is missing in the file, \
             but declared NOT NULL\nhint: "
        ),
        "{error}"
    );
    assert_eq!(read(&world).await, ["1"]);
}

/// The reader looks at the bytes of text itself, and names no column.
#[tokio::test]
async fn text_that_is_not_utf8_is_an_error_with_file_and_column() {
    let world = declare("VARCHAR");
    let values: Vec<ByteArray> = vec!["ok".into(), vec![0xff_u8].into()];
    write_column::<ByteArrayType>(&world, "required binary v (UTF8)", &values);
    let refusal = refusal(&world).await;
    assert!(
        refusal.starts_with(": column `v` cannot be read as Parquet: "),
        "{refusal}"
    );
    assert!(refusal.contains("non UTF-8"), "{refusal}");
}

/// A damaged file makes the reader fail or panic, in the footer or in a page.
#[tokio::test]
async fn damaged_files_are_named() {
    let values: Vec<Option<f64>> = (0..2_000)
        .map(|n| (n % 7 > 0).then_some(f64::from(n)))
        .collect();
    let v = ListArray::from_iter_primitive::<Float64Type, _, _>(
        values.chunks(3).map(|chunk| Some(chunk.to_vec())),
    );
    let world = declare("DOUBLE[]");
    write(&world, &(Arc::new(v) as ArrayRef));
    let path = world.path("raw/t/a.parquet");
    let good = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (4..good.len()).step_by(good.len() / 60) {
        let mut damaged = good.clone();
        damaged[at..(at + 8).min(good.len())].fill(0xff);
        std::fs::write(&path, damaged).unwrap();
        let (ctx, _) = world.session().await.unwrap();
        let read = async {
            let plan = physical_plan(&ctx, "SELECT id, v FROM t").await?;
            collect(plan, ctx.task_ctx()).await
        };
        if let Err(error) = read.await {
            let error = from_datafusion(error).chain();
            assert!(error.contains("t/a.parquet`"), "{at}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused}");
}

/// A cluster sends DataFusion's own operators, and puts the checks back where the plan runs.
#[tokio::test]
async fn checks_are_taken_off_a_plan_and_put_back() {
    let world = declare("BIGINT");
    write(&world, &doubles(&[1.5]));
    let (ctx, _) = world.session().await.unwrap();
    let mut plan = physical_plan(&ctx, "SELECT v FROM t").await.unwrap();
    while let Some(input) = plan.children().first().map(|input| Arc::clone(input)) {
        plan = input;
    }
    let plain = without_checks(&plan).unwrap();
    assert!(without_checks(&plain).is_none());
    let changed = collect(Arc::clone(&plain), ctx.task_ctx()).await;
    assert!(changed.is_ok(), "DataFusion cuts the fraction");
    let checked = with_checks(&plain).unwrap();
    let error = collect(checked, ctx.task_ctx()).await.map_err(ours);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("row 1: column `v`"), "{error}");
}
