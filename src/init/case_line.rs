//! The lines of test cases.

use crate::init::folders::is_part_of_time;
use crate::init::sample::{Sample, SampledLine};

/// Returns a line for a test case, where the folders' columns are members of the line. Those of the time
/// are left out, since a test has values for them.
pub(super) fn case_line(line: &SampledLine, sample: &Sample) -> String {
    let file = sample.files.get(line.place.file);
    let folders = file.map_or(&[][..], |file| file.folders.as_slice());
    let mut others = folders
        .iter()
        .filter(|(name, _)| !is_part_of_time(name))
        .peekable();
    let object = line.text.trim_end();
    let Some(open) = object.strip_suffix('}').filter(|_| others.peek().is_some()) else {
        return object.to_owned();
    };
    let members: Vec<String> = others
        .map(|(name, value)| format!("{}:{}", json_text(name), json_text(value)))
        .collect();
    let comma = if open.trim_end().ends_with('{') {
        ""
    } else {
        ","
    };
    format!("{open}{comma}{}}}", members.join(","))
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::place::Place;
    use crate::init::sample::SampledFile;

    #[test]
    fn lines_of_cases_have_the_columns_of_the_folders() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sample = |folders| Sample {
            files: vec![SampledFile {
                name: "a.json".to_owned(),
                folder_time: None,
                file_time: None,
                folders,
                is_documents: false,
            }],
            lines: Vec::new(),
            malformed: Vec::new(),
            problems: Vec::new(),
            parquet: Vec::new(),
            is_partial: false,
            records: None,
        };
        let case = |text: &str, folders| {
            let place = Place { file: 0, line: 1 };
            let text = text.to_owned();
            case_line(&SampledLine { place, text }, &sample(folders))
        };
        let folders = || {
            vec![
                pair("org", "0\"7"),
                pair("date", "2026-01-15"),
                pair("hour", "3"),
            ]
        };
        assert_eq!(
            case("{\"a\":{}} ", folders()),
            "{\"a\":{},\"org\":\"0\\\"7\"}"
        );
        assert_eq!(case("{ }", folders()), "{ \"org\":\"0\\\"7\"}");
        assert_eq!(
            case("{\"a\": 1 }", vec![pair("date", "2026-01-15")]),
            "{\"a\": 1 }"
        );
    }
}
