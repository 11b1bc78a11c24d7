//! The security token service: every role is assumed, by anybody, as the one account there is.
//!
//! Who may assume a role is tested where that is enforced (`enforced`); here it is slow, or down.

use super::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// The answer to AssumeRole.
pub fn assumed() -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <AssumedRoleUser><AssumedRoleId>AROATEST:dayport</AssumedRoleId>\
         <Arn>arn:aws:sts::111122223333:assumed-role/export/dayport</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{ACCESS_KEY_ID}</AccessKeyId>\
         <SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey>\
         <SessionToken>of-a-session</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    )
}
