//! Values as JSON, for reports.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value;

use crate::codec::json::{LineWriter, OutputText};
use crate::error::{Error, Result};

/// The name of the only column of a batch, whose value is cut out of its line.
const NAME: &str = "v";
const BEFORE: &str = "{\"v\":";
const AFTER: &str = "}\n";

/// Returns a value as a JSON file has it. A number that JSON readers would round, and every decimal, is a
/// string.
pub(crate) fn json_value(array: &ArrayRef, row: usize) -> Result<Value> {
    let unreadable = |reason| Error::internal(format!("a value cannot be shown: {reason}"));
    let field = Field::new(NAME, array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array.slice(row, 1)])
        .map_err(|error| unreadable("it is no batch").with_source(error))?;
    let mut text = OutputText::default();
    LineWriter::new(schema.fields())
        .write(&batch, &mut text, |_| {})
        .map_err(|error| unreadable("it has no text").with_source(error))?;
    let line = String::from_utf8(text.into_bytes())
        .map_err(|error| unreadable("its text is not UTF-8").with_source(error))?;
    let Some(text) = line
        .strip_prefix(BEFORE)
        .and_then(|rest| rest.strip_suffix(AFTER))
    else {
        return Ok(Value::Null);
    };
    let is_decimal = matches!(array.data_type(), DataType::Decimal128(_, _));
    let parsed: Value = serde_json::from_str(text)
        .map_err(|error| unreadable("its text is no JSON").with_source(error))?;
    let is_kept = parsed.is_string() || (!is_decimal && has_same_bytes(&parsed.to_string(), text));
    Ok(match is_kept {
        true => parsed,
        false => Value::String(text.to_owned()),
    })
}

/// Returns true if two texts have the same bytes in whatever order: that of members is another one in a
/// parsed object.
fn has_same_bytes(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.sort_unstable();
        bytes
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Decimal128Array, Float64Array, Int64Array, StringViewArray, StructArray,
    };
    use arrow::datatypes::Fields;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_of_a_json_file() {
        let value = |array: ArrayRef| json_value(&array, 1).unwrap();
        let text = |text| Arc::new(StringViewArray::from(vec![Some("x"), text])) as ArrayRef;
        assert_eq!(value(text(Some("a\u{1b}\"b"))), json!("a\u{1b}\"b"));
        assert_eq!(value(text(None)), Value::Null);
        let large = Int64Array::from(vec![0, 9_007_199_254_740_993]);
        assert_eq!(value(Arc::new(large)), json!(9_007_199_254_740_993_i64));
        let decimal = Decimal128Array::from(vec![0, 1250]).with_precision_and_scale(10, 2);
        assert_eq!(value(Arc::new(decimal.unwrap())), json!("12.50"));
        let float = value(Arc::new(Float64Array::from(vec![0.0, -0.0])));
        assert_eq!(float.to_string(), "-0.0");
        assert_eq!(
            value(Arc::new(BooleanArray::from(vec![true, false]))),
            json!(false)
        );
        let fields = Fields::from(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("a", DataType::Int64, true),
        ]);
        let members: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1)]));
        let members = StructArray::new(fields, vec![Arc::clone(&members), members], None);
        assert_eq!(value(Arc::new(members)), json!({ "n": 1, "a": 1 }));
    }
}
