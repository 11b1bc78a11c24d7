//! Finds the missing right in a store's error.

use crate::policy::IamAction;

/// The actions that S3 needs on the KMS key for a request. AWS names them in the error.
const KMS_ACTIONS: [IamAction; 2] = [IamAction::GenerateDataKey, IamAction::Decrypt];

/// Returns the action that the caller may not perform, if `error`, the text of a store's error with its
/// causes, is such a refusal. It is `requested`, unless the error names an action on the KMS key.
pub(crate) fn denied_action(error: &str, requested: IamAction) -> Option<IamAction> {
    let refusals = [
        "AccessDenied",
        "403 Forbidden",
        "status: 403",
        "not authorized to perform",
    ];
    let is_refusal = refusals.iter().any(|refusal| error.contains(refusal));
    is_refusal.then(|| {
        let of_key = KMS_ACTIONS
            .into_iter()
            .find(|action| error.contains(action.name()));
        of_key.unwrap_or(requested)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_differ_from_failures_and_name_the_action() {
        let denied = |text: &str| denied_action(text, IamAction::PutObject);
        assert_eq!(denied("503 Service Unavailable"), None);
        assert_eq!(
            denied("<Code>AccessDenied</Code>"),
            Some(IamAction::PutObject)
        );
        let kms = "AccessDenied: x is not authorized to perform: kms:GenerateDataKey on resource y";
        assert_eq!(denied(kms), Some(IamAction::GenerateDataKey));
    }
}
