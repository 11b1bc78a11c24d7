//! Checks the operator's place for the texts of malformed lines, by writing there as a run does.

use bytes::Bytes;

use crate::check::list::{CheckArea, CheckList};
use crate::layout;
use crate::store::Destination;

const AREA: CheckArea = CheckArea::RejectedLines;

/// Writes an object to the place and deletes it again. `id` is that of the check.
///
/// A run publishes without the place, but the operator who named it relies on it: that nothing can be
/// written there is a finding.
pub(crate) async fn check_rejected_lines(place: &Destination, id: &str, list: &mut CheckList) {
    let key = layout::checks_folder().join(id);
    if let Err(error) = place.put(&key, Bytes::from_static(b"dayport check")).await {
        return list.error(AREA, "write", &error);
    }
    list.passed(AREA, "write", place.to_string());
    if let Err(error) = place.delete(std::slice::from_ref(&key)).await {
        let detail = format!("`{}` stays: {}", place.address_of(&key), error.chain());
        let hint = "delete it; a run only writes there, and needs no right to delete";
        list.note(AREA, "delete", detail, hint);
    }
}
