//! Patterns of folders and names of files.

use super::input::Input;
use crate::listing::location_split::split_location;
use crate::listing::passed_over::FileNames;

pub(super) fn folders(data: &[u8]) {
    let mut input = Input::new(data);
    let (location, names) = (input.text(), input.text());
    let columns: Vec<String> = (0..input.below(3)).map(|_| input.text()).collect();
    if let Ok((plain, Some(mut pattern))) = split_location(&location) {
        assert!(
            location.starts_with(plain.as_str()) || location.contains('\\'),
            "{location:?} {plain:?}"
        );
        if let Ok(bound) = pattern.bind(&columns) {
            for column in &columns {
                assert!(bound.contains(column));
            }
        }
    }
    let _ = FileNames::parse(&names);
}
