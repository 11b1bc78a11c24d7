//! The security token service: anybody can assume every role, and gets the credentials of the only
//! account.
//!
//! Trust policies are tested with a server that enforces them (`enforced`); here the service is slow or
//! down.

use super::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// Returns the response to AssumeRole.
pub(super) fn assumed() -> String {
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
