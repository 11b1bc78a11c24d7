//! The lifecycle rules of a bucket, as far as they touch an export. Pure.

use serde::Deserialize;

/// `GetBucketLifecycleConfiguration`.
#[derive(Debug, Default, Deserialize)]
pub struct Lifecycle {
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
    /// Older rules have it here.
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
    /// The prefix of a rule that holds for all objects below it; `None` for one that picks.
    fn whole_prefix(&self) -> Option<&str> {
        let Some(filter) = &self.filter else {
            return Some(self.prefix.as_deref().unwrap_or_default());
        };
        let picks = filter.and.is_some()
            || filter.tag.is_some()
            || filter.object_size_greater_than.is_some()
            || filter.object_size_less_than.is_some();
        (!picks).then(|| filter.prefix.as_deref().unwrap_or_default())
    }

    /// A prefix that no object of the rule is outside of.
    fn prefix(&self) -> &str {
        let filter = self.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        let inner = and.and_then(|and| and.prefix.as_deref());
        let own = filter.and_then(|filter| filter.prefix.as_deref());
        inner.or(own).or(self.prefix.as_deref()).unwrap_or_default()
    }

    fn is_enabled(&self) -> bool {
        self.status == "Enabled"
    }
}

impl Lifecycle {
    pub fn parse(xml: &str) -> Result<Self, quick_xml::DeError> {
        quick_xml::de::from_str(xml)
    }

    /// After how many days unfinished uploads below `prefix` are removed, at the earliest.
    pub fn aborts_after(&self, prefix: &str) -> Option<u32> {
        let rules = self.rules.iter().filter(|rule| {
            let whole = rule.whole_prefix();
            rule.is_enabled() && whole.is_some_and(|whole| prefix.starts_with(whole))
        });
        let aborts = rules.filter_map(|rule| rule.abort_incomplete_multipart_upload.as_ref());
        aborts.map(|abort| abort.days_after_initiation).min()
    }

    /// The names of the rules that let objects below `prefix` expire.
    pub fn expires(&self, prefix: &str) -> Vec<&str> {
        let rules = self.rules.iter().filter(|rule| {
            let own = rule.prefix();
            let expires = rule
                .expiration
                .as_ref()
                .is_some_and(|expiration| expiration.days.is_some() || expiration.date.is_some());
            rule.is_enabled() && expires && (prefix.starts_with(own) || own.starts_with(prefix))
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
    fn unfinished_uploads_are_swept_by_a_rule_for_the_whole_prefix() {
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
    fn a_rule_that_lets_the_log_expire_is_named() {
        let expiring = |prefix: &str| {
            let rule = format!(
                "<Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix>{prefix}</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>"
            );
            !rules(&rule).expires("acme/_dayport/").is_empty()
        };
        assert!(expiring("") && expiring("acme/") && expiring("acme/_dayport/log/"));
        assert!(!expiring("acme/data/"));
        let marker = "<Rule><ID>m</ID><Status>Enabled</Status><Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>";
        assert!(rules(marker).expires("acme/").is_empty());
    }
}
