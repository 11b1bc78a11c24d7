//! Which action a refusal is about.

use crate::error::Error;
use crate::policy::IamAction;

/// Spelled out by AWS where the refused action is not the one that was asked for.
const NAMED: [IamAction; 2] = [IamAction::GenerateDataKey, IamAction::Decrypt];

/// The action that is missing, if `error` is a refusal of the store to do what `asked` allows.
pub fn denied(error: &Error, asked: IamAction) -> Option<IamAction> {
    let text = error.chain();
    let refusals = [
        "AccessDenied",
        "403 Forbidden",
        "status: 403",
        "not authorized to perform",
    ];
    let refused = refusals.iter().any(|refusal| text.contains(refusal));
    refused.then(|| {
        let named = NAMED
            .into_iter()
            .find(|action| text.contains(action.name()));
        named.unwrap_or(asked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_failure_and_kms_from_s3() {
        let denied = |text: &str| denied(&Error::invalid(text), IamAction::PutObject);
        assert_eq!(denied("503 Service Unavailable"), None);
        assert_eq!(
            denied("<Code>AccessDenied</Code>"),
            Some(IamAction::PutObject)
        );
        let kms = "AccessDenied: x is not authorized to perform: kms:GenerateDataKey on resource y";
        assert_eq!(denied(kms), Some(IamAction::GenerateDataKey));
    }
}
