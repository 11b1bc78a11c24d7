//! Reads the lifecycle rules of a bucket, as far as they affect an export. The module does no I/O.

use serde::Deserialize;

/// The response to `GetBucketLifecycleConfiguration`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Lifecycle {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(default)]
    status: String,
    /// The prefix in rules of the older form, which have no filter.
    prefix: Option<String>,
    filter: Option<Filter>,
    abort_incomplete_multipart_upload: Option<Abort>,
    expiration: Option<Expiration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    prefix: Option<String>,
    and: Option<And>,
    tag: Option<Tag>,
    object_size_greater_than: Option<u64>,
    object_size_less_than: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct And {
    prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Tag {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Abort {
    days_after_initiation: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Expiration {
    days: Option<u32>,
    date: Option<String>,
}

impl Rule {
    /// Returns the prefix if the rule applies to every object below it; `None` if it also filters
    /// by tag or size.
    fn whole_prefix(&self) -> Option<&str> {
        let Some(filter) = &self.filter else {
            return Some(self.prefix.as_deref().unwrap_or_default());
        };
        let is_selective = filter.and.is_some()
            || filter.tag.is_some()
            || filter.object_size_greater_than.is_some()
            || filter.object_size_less_than.is_some();
        (!is_selective).then(|| filter.prefix.as_deref().unwrap_or_default())
    }

    /// Returns the prefix that all objects of the rule have.
    fn prefix(&self) -> &str {
        let filter = self.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        let in_and = and.and_then(|and| and.prefix.as_deref());
        let in_filter = filter.and_then(|filter| filter.prefix.as_deref());
        in_and
            .or(in_filter)
            .or(self.prefix.as_deref())
            .unwrap_or_default()
    }

    fn is_enabled(&self) -> bool {
        self.status == "Enabled"
    }
}

impl Lifecycle {
    /// Parses the XML of the response.
    pub(super) fn parse(xml: &str) -> Result<Self, quick_xml::DeError> {
        quick_xml::de::from_str(xml)
    }

    /// Returns the days after which unfinished uploads below `prefix` are aborted, if any rule does
    /// so.
    pub(super) fn aborts_after(&self, prefix: &str) -> Option<u32> {
        let rules = self.rules.iter().filter(|rule| {
            let whole = rule.whole_prefix();
            rule.is_enabled() && whole.is_some_and(|whole| prefix.starts_with(whole))
        });
        let aborts = rules.filter_map(|rule| rule.abort_incomplete_multipart_upload.as_ref());
        aborts.map(|abort| abort.days_after_initiation).min()
    }

    /// Returns the names of the rules that expire objects below `prefix`.
    pub(super) fn expiring(&self, prefix: &str) -> Vec<&str> {
        let rules = self.rules.iter().filter(|rule| {
            let of_rule = rule.prefix();
            let overlaps = prefix.starts_with(of_rule) || of_rule.starts_with(prefix);
            let expires = rule
                .expiration
                .as_ref()
                .is_some_and(|expiration| expiration.days.is_some() || expiration.date.is_some());
            rule.is_enabled() && expires && overlaps
        });
        rules.map(|rule| rule.id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &str) -> Lifecycle {
        let xml = format!(
            "<?xml version=\"1.0\"?><LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</LifecycleConfiguration>"
        );
        Lifecycle::parse(&xml).unwrap()
    }

    const ABORT: &str = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>";

    #[test]
    fn a_rule_for_the_whole_prefix_aborts_unfinished_uploads() {
        for (rule, days) in [
            ("", None),
            ("<Rule><Status>Enabled</Status><Filter/>@</Rule>", Some(7)),
            ("<Rule><Status>Disabled</Status><Filter/>@</Rule>", None),
            (
                "<Rule><Status>Enabled</Status><Prefix>acme/</Prefix>@</Rule>",
                Some(7),
            ),
            (
                "<Rule><Status>Enabled</Status><Filter><Prefix>acme/dayport/</Prefix></Filter>@</Rule>",
                Some(7),
            ),
            (
                "<Rule><Status>Enabled</Status><Filter><Prefix>acme/dayport/data/</Prefix></Filter>@</Rule>",
                None,
            ),
            (
                "<Rule><Status>Enabled</Status><Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>@</Rule>",
                None,
            ),
        ] {
            let lifecycle = rules(&rule.replace('@', ABORT));
            assert_eq!(lifecycle.aborts_after("acme/dayport/"), days, "{rule}");
        }
    }

    #[test]
    fn a_rule_that_expires_the_log_is_named() {
        let expiring = |prefix: &str| {
            let rule = format!(
                "<Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix>{prefix}</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>"
            );
            !rules(&rule).expiring("acme/_dayport/").is_empty()
        };
        assert!(expiring("") && expiring("acme/") && expiring("acme/_dayport/log/"));
        assert!(!expiring("acme/data/"));
        let marker = "<Rule><ID>m</ID><Status>Enabled</Status><Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>";
        assert!(rules(marker).expiring("acme/").is_empty());
    }
}
