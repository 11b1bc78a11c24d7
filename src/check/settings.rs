//! What the bucket says about itself. A run needs none of it.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::Deserialize;

use crate::check::lifecycle::Lifecycle;
use crate::check::list::{Area, List};
use crate::error::Result;
use crate::layout;
use crate::policy::{Grant, IamAction};
use crate::store::{S3Bucket, S3Response};

/// S3 refuses signatures that are 15 minutes off.
const MOST_SKEW: TimeDelta = TimeDelta::minutes(5);

/// A run, and the one that finishes it if it dies, are over by then.
const LEAST_DAYS: u32 = 2;

pub struct Settings<'a> {
    pub bucket: &'a S3Bucket,
    pub grant: &'a Grant,
    pub now: DateTime<Utc>,
}

/// What a setting came to.
enum Seen {
    Response(S3Response),
    /// S3 says that it is not configured.
    Unset,
    Unseen(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct PublicAccessBlock {
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Versioning {
    status: String,
}

impl PublicAccessBlock {
    /// What is fine, or else what is not.
    fn judge(&self, is_of_ceph: bool) -> Result<&'static str, String> {
        let kinds = [
            ("BlockPublicAcls", self.block_public_acls),
            ("IgnorePublicAcls", self.ignore_public_acls),
            ("BlockPublicPolicy", self.block_public_policy),
            ("RestrictPublicBuckets", self.restrict_public_buckets),
        ];
        let open = kinds.iter().filter(|(_, blocked)| !blocked);
        let open: Vec<&str> = open.map(|(kind, _)| *kind).collect();
        match open.as_slice() {
            [] => Ok("all four kinds are blocked"),
            ["BlockPublicAcls"] if is_of_ceph => {
                Ok("all but BlockPublicAcls, with which Ceph refuses every put")
            }
            open => Err(format!("not set: {}", open.join(", "))),
        }
    }
}

impl Settings<'_> {
    /// Whether the bucket is there, under this region and clock.
    pub async fn reach(&self, list: &mut List) -> bool {
        let area = Area::Destination;
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
        list.fine(area, "bucket", format!("`{name}` answers"));
        let region = answer.header("x-amz-bucket-region");
        match region {
            Some(region) if region != self.bucket.region => {
                let detail = format!("`{name}` is in {region}, not in {}", self.bucket.region);
                let hint = format!("set AWS_REGION={region}");
                list.finding(area, "region", detail, Some(&hint));
                return false;
            }
            Some(region) => list.fine(area, "region", region),
            None => list.unseen(area, "region", "the store does not tell"),
        }
        match answer.date() {
            None => list.unseen(area, "clock", "the store does not tell the time"),
            Some(theirs) => {
                let skew = (self.now - theirs).abs();
                let detail = format!("{} s apart", skew.num_seconds());
                if skew > MOST_SKEW {
                    let hint = Some("signatures expire: set this machine's clock");
                    list.finding(area, "clock", detail, hint);
                } else {
                    list.fine(area, "clock", detail);
                }
            }
        }
        true
    }

    pub async fn check(&self, list: &mut List) {
        self.public_access(list).await;
        self.versioning(list).await;
        self.lifecycle(list).await;
    }

    async fn public_access(&self, list: &mut List) {
        let (area, name) = (Area::Settings, "public access block");
        let hint = Some(
            "block all four kinds of public access on the bucket; on Ceph not BlockPublicAcls, \
             with which 16.2 refuses every put",
        );
        let action = IamAction::GetBucketPublicAccessBlock;
        match self.see("publicAccessBlock", action).await {
            Seen::Unset => list.finding(area, name, "public access is not blocked", hint),
            Seen::Unseen(detail) => list.unseen(area, name, detail),
            Seen::Response(answer) => {
                match quick_xml::de::from_str::<PublicAccessBlock>(&answer.body) {
                    Ok(block) => match block.judge(is_of_ceph(&answer)) {
                        Ok(fine) => list.fine(area, name, fine),
                        Err(detail) => list.finding(area, name, detail, hint),
                    },
                    Err(error) => list.unseen(area, name, unreadable(&error)),
                }
            }
        }
    }

    async fn versioning(&self, list: &mut List) {
        let (area, name) = (Area::Settings, "versioning");
        match self.see("versioning", IamAction::GetBucketVersioning).await {
            Seen::Unseen(detail) => list.unseen(area, name, detail),
            Seen::Unset => list.fine(area, name, "off"),
            Seen::Response(answer) => match quick_xml::de::from_str::<Versioning>(&answer.body) {
                Ok(versioning) if versioning.status == "Enabled" => {
                    let detail =
                        "on: replaced files stay as old versions, which cost until they expire";
                    list.fine(area, name, detail);
                }
                Ok(_) => list.fine(area, name, "off"),
                Err(error) => list.unseen(area, name, unreadable(&error)),
            },
        }
    }

    async fn lifecycle(&self, list: &mut List) {
        let (area, name) = (Area::Settings, "lifecycle");
        let lifecycle = match self
            .see("lifecycle", IamAction::GetLifecycleConfiguration)
            .await
        {
            Seen::Unseen(detail) => return list.unseen(area, name, detail),
            Seen::Unset => Lifecycle::default(),
            Seen::Response(answer) => match Lifecycle::parse(&answer.body) {
                Ok(lifecycle) => lifecycle,
                Err(error) => return list.unseen(area, name, unreadable(&error)),
            },
        };
        let prefix = match self.grant.prefix.as_ref() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        match lifecycle.aborts_after(&prefix) {
            None => {
                let hint = format!("add {}", self.grant.lifecycle()["Rules"][0]);
                let detail = "no rule removes the unfinished uploads of runs that died";
                list.finding(area, name, detail, Some(&hint));
            }
            Some(days) if days < LEAST_DAYS => {
                let detail = format!("unfinished uploads are removed after {days} day");
                let hint =
                    "a committed cycle that has to be finished tomorrow would be lost: 7 days";
                list.finding(area, name, detail, Some(hint));
            }
            Some(days) => {
                list.fine(
                    area,
                    name,
                    format!("unfinished uploads are removed after {days} days"),
                );
            }
        }
        for folder in [layout::internal_folder(), layout::manifests_folder()] {
            let folder = format!("{prefix}{folder}/");
            let expiring = lifecycle.expires(&folder);
            if !expiring.is_empty() {
                let detail = format!("`{folder}` expires, by {}", expiring.join(", "));
                let hint = "without its manifests and log a day counts as never exported";
                list.finding(area, name, detail, Some(hint));
            }
        }
    }

    async fn see(&self, setting: &str, action: IamAction) -> Seen {
        let asked: Result<S3Response> = self.bucket.setting(setting).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => return Seen::Unseen(error.chain()),
        };
        match answer.status {
            status if status.is_success() => Seen::Response(answer),
            StatusCode::FORBIDDEN => Seen::Unseen(format!(
                "{action} is not allowed; a run does not need it (`dayport policy --settings` grants it)"
            )),
            StatusCode::NOT_FOUND
                if answer.code().is_some_and(|code| code.starts_with("NoSuch")) =>
            {
                Seen::Unset
            }
            status => Seen::Unseen(format!("the store answers {status}")),
        }
    }
}

/// Its request ids are like `tx00000e224355ee5ca82e9-006b0371ba-1012-default`.
fn is_of_ceph(answer: &S3Response) -> bool {
    let id = answer.header("x-amz-request-id");
    id.is_some_and(|id| id.starts_with("tx0") && id.split('-').count() >= 4)
}

fn unreadable(error: &quick_xml::DeError) -> String {
    format!("the answer cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn ceph_is_told_by_its_request_ids() {
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
    fn what_ceph_cannot_bear_need_not_be_blocked_there() {
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
