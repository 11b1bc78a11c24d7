//! Checks the markers of complete cycles against the manifests.

use crate::cycle_marker::{MarkerNames, PublishedNames, out_of_date, read_marker};
use crate::delivery::{read_manifest_and_digest, read_record};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, CycleMarkerName};
use crate::manifest::{CycleMarker, LatestCycle, MarkedTable};
use crate::store::Destination;
use crate::verify::report::{Finding, FindingKind};
use crate::verify::scope::{VerifyCycles, VerifyDepth};

/// The attempts to read markers that are being written while they are verified.
const MAX_ATTEMPTS: usize = 5;

/// Checks the newest marker of every cycle of the scope, and the hint of the newest one.
///
/// # Errors
/// Fails if the store does. A caller who may not read markers gets no finding.
pub(super) async fn check(
    destination: &Destination,
    cycles: &VerifyCycles,
    depth: VerifyDepth,
) -> Result<Vec<Finding>> {
    let mut attempt = 1;
    let mut listed = list(destination).await?;
    loop {
        let Some((names, markers)) = &listed else {
            return Ok(Vec::new());
        };
        let mut findings = Vec::new();
        for name in markers.newest().filter(|name| cycles.contains(name.cycle)) {
            findings.extend(check_marker(destination, name, names, depth).await?);
        }
        findings.extend(check_latest(destination, markers).await?);
        if findings.is_empty() || attempt == MAX_ATTEMPTS {
            return Ok(findings);
        }
        // They may be of a moment in between.
        let again = list(destination).await?;
        if again == listed {
            return Ok(findings);
        }
        listed = again;
        attempt += 1;
    }
}

/// Lists the manifests before the markers, which may then name later ones, but not lack these.
async fn list(destination: &Destination) -> Result<Option<(PublishedNames, MarkerNames)>> {
    let names = PublishedNames::list(destination).await?;
    match MarkerNames::list(destination).await {
        Ok(markers) => Ok(Some((names, markers))),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn check_marker(
    destination: &Destination,
    name: CycleMarkerName,
    names: &PublishedNames,
    depth: VerifyDepth,
) -> Result<Vec<Finding>> {
    let finding = |table: &str, kind: FindingKind, detail: String| Finding {
        table: table.to_owned(),
        cycle: Some(name.cycle),
        key: name.path().to_string(),
        kind,
        detail,
    };
    let marker = match read_marker(destination, name).await {
        Ok(marker) => marker,
        Err(error) if error.is_forbidden() => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        Err(error) => return Ok(vec![finding("", FindingKind::Marker, error.chain())]),
    };
    if !marker.is_complete() {
        let detail = "the cycle is no longer complete; the next run that publishes its tables marks it again";
        return Ok(vec![finding(
            "",
            FindingKind::Unfinished,
            detail.to_owned(),
        )]);
    }
    let mut findings = Vec::new();
    for marked in &marker.tables {
        if let Some(detail) = contradiction(destination, &marker, marked, names, depth).await? {
            findings.push(finding(marked.table.as_str(), FindingKind::Marker, detail));
        }
    }
    for newer in out_of_date(&marker, &names.of_cycle(name.cycle)) {
        let detail = format!(
            "it does not name `{}`, which was published since; the next run writes the next revision of \
             the marker",
            newer.path()
        );
        findings.push(finding(
            newer.table.as_str(),
            FindingKind::Unfinished,
            detail,
        ));
    }
    Ok(findings)
}

/// Returns what a marker says of a table that its manifest does not.
async fn contradiction(
    destination: &Destination,
    marker: &CycleMarker,
    marked: &MarkedTable,
    names: &PublishedNames,
    depth: VerifyDepth,
) -> Result<Option<String>> {
    let key = marked.name().path();
    if key.as_ref() != marked.manifest || marked.cycle < marker.cycle.id {
        return Ok(Some(format!(
            "it names `{}`, which is no manifest of it",
            marked.manifest
        )));
    }
    let newest = names.newest_of(&marked.table, marked.cycle);
    if depth == VerifyDepth::Quick
        && newest.is_some_and(|newest| newest.revision >= marked.revision)
    {
        return Ok(None);
    }
    let read = read_manifest_and_digest(destination, &marked.name()).await;
    Ok(match read {
        Ok((_, digest)) if digest != marked.sha256 => Some(format!(
            "it names `{key}` with the SHA-256 {}, which has {digest}",
            marked.sha256
        )),
        Ok((manifest, _)) if MarkedTable::new(&manifest, marked.sha256.clone()) != *marked => {
            Some(format!("its figures are not those of `{key}`"))
        }
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // What is there and cannot be read is a finding of the manifest's own.
        Err(_) if newest.is_some_and(|newest| newest.revision >= marked.revision) => None,
        Err(error) => Some(format!("it names `{key}`: {}", error.chain())),
    })
}

/// Checks that the hint names a marker. It may be an older one.
async fn check_latest(destination: &Destination, markers: &MarkerNames) -> Result<Option<Finding>> {
    let key = layout::latest_file();
    let parse = |text: &[u8]| LatestCycle::parse(&key, text);
    let finding = |detail: String| Finding {
        table: String::new(),
        cycle: None,
        key: key.to_string(),
        kind: FindingKind::Marker,
        detail,
    };
    let detail = |error: &Error| Ok(Some(finding(error.chain())));
    let latest = match read_record(destination, &key, parse).await {
        Ok(Some(latest)) => latest,
        Ok(None) => return Ok(None),
        Err(error) if error.is_forbidden() => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        Err(error) => return detail(&error),
    };
    let newest = markers.newest_of(latest.cycle.id);
    let is_there = newest.is_some_and(|newest| newest.revision >= latest.revision);
    Ok((!is_there).then(|| {
        finding(format!(
            "it names `{}`, which does not exist",
            latest.marker
        ))
    }))
}
