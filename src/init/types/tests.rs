//! Tests of the choice of types.

use super::*;
use crate::init::json::Json;

/// Infers the columns of lines.
fn infer(lines: &[&str]) -> Vec<Column> {
    let mut facts = Facts::default();
    for (line, text) in (1..).zip(lines) {
        let place = Place { file: 0, line };
        facts.add(&Json::parse(text).unwrap(), place);
    }
    columns(&facts.objects)
}

/// Returns the type of the column `x`, or `-` if it is left out.
fn type_of(lines: &[&str]) -> String {
    let columns = infer(lines);
    let column = columns.iter().find(|column| column.name == "x").unwrap();
    let declared = column.declared.as_ref();
    declared.map_or_else(|_| "-".to_owned(), ColumnType::inline)
}

fn only(lines: &[&str]) -> Column {
    infer(lines).into_iter().next().unwrap()
}

#[test]
fn types_are_as_wide_as_all_values() {
    for (lines, expected) in [
        (&[r#"{"x":1}"#, r#"{"x":2.5}"#][..], "DOUBLE"),
        (&[r#"{"x":1}"#, r#"{"x":null}"#, "{}"], "BIGINT"),
        (&[r#"{"x":9007199254740993}"#], "BIGINT"),
        (&[r#"{"x":18446744073709551615}"#], "DECIMAL(38, 0)"),
        (&[r#"{"x":true}"#], "BOOLEAN"),
        (
            &[r#"{"x":{"a":1}}"#, r#"{"x":{"b":"t"}}"#],
            "STRUCT<a BIGINT, b VARCHAR>",
        ),
        (
            &[r#"{"x":[]}"#, r#"{"x":[{"a":1},{"b":[[1.5]]}]}"#],
            "STRUCT<a BIGINT, b DOUBLE[][]>[]",
        ),
        (&[r#"{"x":[]}"#], "VARCHAR[]"),
        (&[r#"{"x":null}"#], "VARCHAR"),
        (
            &[r#"{"x":{"aB":1,"order":2,"a\"b":3}}"#],
            r#"STRUCT<"aB" BIGINT, "order" BIGINT, "a""b" BIGINT>"#,
        ),
    ] {
        assert_eq!(type_of(lines), expected, "{lines:?}");
    }
}

#[test]
fn ids_stay_what_they_are() {
    for (lines, expected) in [
        (&[r#"{"x":"007"}"#, r#"{"x":"12"}"#][..], "VARCHAR"),
        (&[r#"{"x":"12"}"#], "VARCHAR"),
        (&[r#"{"x":"12"}"#, r#"{"x":13}"#], "BIGINT"),
        // BIGINT would lose the zeros, and VARCHAR reads no number.
        (&[r#"{"x":"007"}"#, r#"{"x":12}"#], "-"),
        (&[r#"{"x":"12"}"#, r#"{"x":1.5}"#], "-"),
        (&[r#"{"x":"12"}"#, r#"{"x":18446744073709551615}"#], "-"),
    ] {
        assert_eq!(type_of(lines), expected, "{lines:?}");
    }
}

#[test]
fn strings_are_times_only_if_all_are() {
    let time = r#"{"x":"2026-01-15T10:00:00Z"}"#;
    for (lines, expected) in [
        (
            &[time, r#"{"x":"2026-01-15T12:00:00.5+02:00"}"#][..],
            "TIMESTAMP(6) WITH TIME ZONE",
        ),
        (&[time, r#"{"x":"-"}"#], "VARCHAR"),
        (&[time, r#"{"x":"2026-01-15T10:00:00"}"#], "VARCHAR"),
        (&[time, r#"{"x":""}"#], "VARCHAR"),
        (&[time, r#"{"x":1768471200}"#], "-"),
        (&[r#"{"x":"2026-01-15"}"#], "DATE"),
        (&[r#"{"x":"2026-01-15"}"#, time], "VARCHAR"),
        (
            &[r#"{"x":["2026-01-15T10:00:00Z"]}"#],
            "TIMESTAMP(6) WITH TIME ZONE[]",
        ),
    ] {
        assert_eq!(type_of(lines), expected, "{lines:?}");
    }
    let mut lines = vec![time; 9];
    lines.push(r#"{"x":"?"}"#);
    let place = Place { file: 0, line: 10 };
    assert_eq!(only(&lines).notes, [Note::NotAllTimes(Some(place))]);
    let epoch = only(&[r#"{"created_at":1768471200}"#]);
    let unit = Some(EpochUnit::Second);
    assert_eq!(epoch.declared, Ok(ColumnType::Timestamp { unit }));
}

#[test]
fn mixed_values_are_left_out_with_an_example_of_each() {
    let column = only(&[
        r#"{"x":null}"#,
        r#"{"x":[]}"#,
        r#"{"x":{"a":1}}"#,
        r#"{"x":[1]}"#,
    ]);
    let (object, list) = (Place { file: 0, line: 3 }, Place { file: 0, line: 2 });
    let kinds = vec![("an object", object), ("a list", list)];
    assert_eq!(column.declared, Err(LeftOut::Mixed(kinds)));
}

#[test]
fn objects_whose_keys_are_data_are_left_out() {
    for ids in [
        r#"{"x":{"1":1,"2":1,"31":1}}"#,
        r#"{"x":{"a@example.com":1,"b@example.com":1,"c@example.com":1}}"#,
        r#"{"x":{"0a1b2c3d4e5f6a7b":1,"1a1b2c3d4e5f6a7b":1,"2a1b2c3d4e5f6a7b":1}}"#,
        r#"{"x":{"2026-01-15":1,"2026-01-16":1,"2026-01-17":1}}"#,
    ] {
        assert!(
            matches!(only(&[ids]).declared, Err(LeftOut::Map { keys: 3, .. })),
            "{ids}"
        );
    }
    let reactions = r#"{"x":{"+1":1,"-1":2,"laugh":3,"url":"u"}}"#;
    assert!(only(&[reactions]).declared.is_ok());
    let sparse: Vec<String> = (0..120)
        .map(|key| format!("{{\"x\":{{\"k{key}\":1}}}}"))
        .collect();
    let sparse: Vec<&str> = sparse.iter().map(String::as_str).collect();
    assert!(matches!(
        only(&sparse).declared,
        Err(LeftOut::Map { keys: 120, .. })
    ));
    let wide: Vec<String> = (0..120).map(|key| format!("\"k{key}\":1")).collect();
    let wide = format!("{{\"x\":{{{}}}}}", wide.join(","));
    assert!(only(&[&wide]).declared.is_ok(), "each row has all keys");
}

#[test]
fn what_cannot_be_declared_is_left_out() {
    assert_eq!(only(&[r#"{"":1}"#]).declared, Err(LeftOut::NoName));
    assert!(matches!(
        only(&[r#"{"x":{}}"#]).declared,
        Err(LeftOut::NoMembers(_))
    ));
    assert!(matches!(
        only(&[r#"{"x":{"":1}}"#]).declared,
        Err(LeftOut::NoMembers(_))
    ));
    assert_eq!(type_of(&[r#"{"x":{"a":1,"b":{}}}"#]), "STRUCT<a BIGINT>");
    let digits = r#"{"x":123456789012345678901234567890123456789}"#;
    assert!(matches!(only(&[digits]).declared, Err(LeftOut::Digits(_))));
}

#[test]
fn remarks_say_what_to_look_at() {
    let mut lines = vec![r#"{"id":1}"#; 150];
    lines.push(r#"{"id":1,"x":"a"}"#);
    let columns = infer(&lines);
    assert!(columns[1].is_rare);
    assert_eq!(
        columns[1].notes,
        [Note::Rare {
            values: 1,
            rows: 151
        }]
    );
    assert!(!columns[0].is_rare);
    let place = Some(Place { file: 0, line: 1 });
    assert_eq!(only(&[r#"{"x":1,"x":2}"#]).notes, [Note::Repeated(place)]);
    assert_eq!(only(&[r#"{"x":null}"#]).notes, [Note::OnlyNull]);
    assert_eq!(only(&[r#"{"x":[]}"#]).notes, [Note::OnlyEmptyLists]);
    let fine = r#"{"x":"2026-01-15T10:00:00.1234567+01:00"}"#;
    let notes = [Note::Offsets(place), Note::FinerThanMicroseconds(place)];
    assert_eq!(only(&[fine]).notes, notes);
    let twins = only(&[r#"{"x":1,"X":2}"#]);
    assert_eq!(twins.notes, [Note::CaseOnly("X".to_owned())]);
}
