//! Checks the settings of the bucket. A run needs no right to read them.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::Deserialize;

use crate::check::lifecycle::Lifecycle;
use crate::check::list::{CheckArea, CheckList};
use crate::human;
use crate::layout;
use crate::policy::{Grant, IamAction};
use crate::store::{S3Bucket, S3Response};

/// The maximum skew between the clocks of this machine and the store. S3 refuses signatures that are
/// 15 minutes off.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// The minimum days before unfinished uploads may be aborted: by then a run is over, and also the
/// next one, which finishes a commit if the first one dies.
const MIN_ABORT_DAYS: u32 = 2;

/// Reads and judges the settings of a bucket.
pub(super) struct SettingsProbe<'a> {
    pub bucket: &'a S3Bucket,
    pub grant: &'a Grant,
    /// The real time.
    pub now: DateTime<Utc>,
}

/// The result of reading a setting.
enum Setting {
    Set(S3Response),
    /// The store reports that the setting is not configured.
    Unset,
    /// The setting could not be read, for this reason.
    Unknown(String),
}

/// The response to `GetPublicAccessBlock`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PublicAccessBlock {
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

/// The response to `GetBucketVersioning`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Versioning {
    status: String,
}

impl PublicAccessBlock {
    /// Judges the setting. Ceph may leave `BlockPublicAcls` unset.
    ///
    /// # Errors
    /// A finding that names the kinds of access that are not blocked.
    fn judge(&self, is_of_ceph: bool) -> Result<&'static str, String> {
        let kinds = [
            ("BlockPublicAcls", self.block_public_acls),
            ("IgnorePublicAcls", self.ignore_public_acls),
            ("BlockPublicPolicy", self.block_public_policy),
            ("RestrictPublicBuckets", self.restrict_public_buckets),
        ];
        let open_kinds: Vec<&str> = kinds
            .iter()
            .filter(|(_, is_blocked)| !is_blocked)
            .map(|(kind, _)| *kind)
            .collect();
        match open_kinds.as_slice() {
            [] => Ok("all four kinds are blocked"),
            ["BlockPublicAcls"] if is_of_ceph => {
                Ok("all but BlockPublicAcls, with which Ceph refuses every put")
            }
            open => Err(format!("not set: {}", open.join(", "))),
        }
    }
}

impl SettingsProbe<'_> {
    /// Checks that the bucket exists in this region, and that the clocks agree. Returns false if the
    /// bucket cannot be reached, so that nothing else can be checked.
    pub(super) async fn reach(&self, list: &mut CheckList) -> bool {
        let area = CheckArea::Destination;
        let answer = match self.bucket.head().await {
            Ok(answer) => answer,
            Err(error) => {
                list.error(area, "bucket", &error);
                return false;
            }
        };
        let name = &self.bucket.name;
        if answer.status == StatusCode::NOT_FOUND {
            let hint = Some("is the name right?");
            list.finding(area, "bucket", format!("there is no bucket `{name}`"), hint);
            return false;
        }
        list.passed(area, "bucket", format!("`{name}` responds"));
        let region = answer.header("x-amz-bucket-region");
        match region {
            Some(region) if region != self.bucket.region => {
                let detail = format!("`{name}` is in {region}, not in {}", self.bucket.region);
                let hint = format!("set AWS_REGION={region}");
                list.finding(area, "region", detail, Some(&hint));
                return false;
            }
            Some(region) => list.passed(area, "region", region),
            None => list.unknown(area, "region", "the store does not report it"),
        }
        match answer.date() {
            None => list.unknown(area, "clock", "the store does not report its time"),
            Some(theirs) => {
                let skew = (self.now - theirs).abs();
                let detail = format!("{} s apart", skew.num_seconds());
                if skew > MAX_CLOCK_SKEW {
                    let hint = Some("signatures expire: set this machine's clock");
                    list.finding(area, "clock", detail, hint);
                } else {
                    list.passed(area, "clock", detail);
                }
            }
        }
        true
    }

    /// Checks public access, versioning and lifecycle rules.
    pub(super) async fn check(&self, list: &mut CheckList) {
        self.public_access(list).await;
        self.versioning(list).await;
        self.lifecycle(list).await;
    }

    async fn public_access(&self, list: &mut CheckList) {
        let (area, name) = (CheckArea::Settings, "public access block");
        let hint = Some(
            "block all four kinds of public access on the bucket; on Ceph not BlockPublicAcls, \
             with which 16.2 refuses every put",
        );
        let action = IamAction::GetBucketPublicAccessBlock;
        match self.read("publicAccessBlock", action).await {
            Setting::Unset => list.finding(area, name, "public access is not blocked", hint),
            Setting::Unknown(detail) => list.unknown(area, name, detail),
            Setting::Set(answer) => {
                match quick_xml::de::from_str::<PublicAccessBlock>(&answer.body) {
                    Ok(block) => match block.judge(is_of_ceph(&answer)) {
                        Ok(detail) => list.passed(area, name, detail),
                        Err(detail) => list.finding(area, name, detail, hint),
                    },
                    Err(error) => list.unknown(area, name, unreadable(&error)),
                }
            }
        }
    }

    async fn versioning(&self, list: &mut CheckList) {
        let (area, name) = (CheckArea::Settings, "versioning");
        match self
            .read("versioning", IamAction::GetBucketVersioning)
            .await
        {
            Setting::Unknown(detail) => list.unknown(area, name, detail),
            Setting::Unset => list.passed(area, name, "off"),
            Setting::Set(answer) => match quick_xml::de::from_str::<Versioning>(&answer.body) {
                Ok(versioning) if versioning.status == "Enabled" => {
                    let detail = "on: replaced files stay as old versions, which cost money until they expire";
                    list.passed(area, name, detail);
                }
                Ok(_) => list.passed(area, name, "off"),
                Err(error) => list.unknown(area, name, unreadable(&error)),
            },
        }
    }

    async fn lifecycle(&self, list: &mut CheckList) {
        let (area, name) = (CheckArea::Settings, "lifecycle");
        let lifecycle = match self
            .read("lifecycle", IamAction::GetLifecycleConfiguration)
            .await
        {
            Setting::Unknown(detail) => return list.unknown(area, name, detail),
            Setting::Unset => Lifecycle::default(),
            Setting::Set(answer) => match Lifecycle::parse(&answer.body) {
                Ok(lifecycle) => lifecycle,
                Err(error) => return list.unknown(area, name, unreadable(&error)),
            },
        };
        let prefix = match self.grant.prefix.as_ref() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        match lifecycle.aborts_after(&prefix) {
            None => {
                let hint = format!("add {}", self.grant.lifecycle()["Rules"][0]);
                let detail = "no rule aborts the unfinished uploads of runs that died";
                list.finding(area, name, detail, Some(&hint));
            }
            Some(days) => {
                let after = human::counted(u64::from(days), "day");
                let detail = format!("unfinished uploads are aborted after {after}");
                if days < MIN_ABORT_DAYS {
                    let hint = "a committed cycle that the next day's run has to finish would be \
                                lost: set 7 days";
                    list.finding(area, name, detail, Some(hint));
                } else {
                    list.passed(area, name, detail);
                }
            }
        }
        for folder in [layout::internal_folder(), layout::manifests_folder()] {
            let key_prefix = format!("{prefix}{folder}/");
            let expiring = lifecycle.expiring(&key_prefix);
            if !expiring.is_empty() {
                let detail = format!("`{key_prefix}` expires, by {}", expiring.join(", "));
                let hint = "without its manifests and log a day counts as never exported";
                list.finding(area, name, detail, Some(hint));
            }
        }
    }

    /// Reads one setting. `action` is the right that this needs.
    async fn read(&self, setting: &str, action: IamAction) -> Setting {
        let answer = match self.bucket.setting(setting).await {
            Ok(answer) => answer,
            Err(error) => return Setting::Unknown(error.chain()),
        };
        match answer.status {
            status if status.is_success() => Setting::Set(answer),
            StatusCode::FORBIDDEN => Setting::Unknown(format!(
                "{action} is not allowed; a run does not need it (`dayport policy --settings` grants it)"
            )),
            StatusCode::NOT_FOUND
                if answer.code().is_some_and(|code| code.starts_with("NoSuch")) =>
            {
                Setting::Unset
            }
            status => Setting::Unknown(format!("the store responds {status}")),
        }
    }
}

/// Returns true if the response comes from Ceph, whose request ids look like
/// `tx00000e224355ee5ca82e9-006b0371ba-1012-default`.
fn is_of_ceph(answer: &S3Response) -> bool {
    let id = answer.header("x-amz-request-id");
    id.is_some_and(|id| id.starts_with("tx0") && id.split('-').count() >= 4)
}

fn unreadable(error: &quick_xml::DeError) -> String {
    format!("the response cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn ceph_is_recognized_by_its_request_ids() {
        let is_of_ceph = |id: &'static str| {
            is_of_ceph(&S3Response {
                status: StatusCode::OK,
                headers: HeaderMap::from_iter([(
                    "x-amz-request-id".parse().unwrap(),
                    id.parse().unwrap(),
                )]),
                body: String::new(),
            })
        };
        assert!(is_of_ceph(
            "tx00000e224355ee5ca82e9-006b0371ba-1012-default"
        ));
        assert!(!is_of_ceph("TX234S0F24A06C7D"));
        assert!(!is_of_ceph("0a49ce4060975eac"));
    }

    #[test]
    fn ceph_need_not_block_public_acls() {
        let mut block = PublicAccessBlock {
            block_public_acls: false,
            ignore_public_acls: true,
            block_public_policy: true,
            restrict_public_buckets: true,
        };
        assert!(block.judge(true).is_ok());
        assert_eq!(block.judge(false).unwrap_err(), "not set: BlockPublicAcls");
        block.ignore_public_acls = false;
        assert!(block.judge(true).is_err());
        block.block_public_acls = true;
        block.ignore_public_acls = true;
        assert!(block.judge(false).is_ok());
    }
}
